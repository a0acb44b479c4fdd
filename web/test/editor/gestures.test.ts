import { expect, test } from 'vitest';
import { apply } from '../../src/app/editor/edits';
import { adding, arranging, connecting, copying, type Gesture, moving, removing } from '../../src/app/editor/gestures';
import { type Draft, nodeOf } from '../../src/app/editor/model';
import { type KindInfo, starterOf } from '../../src/app/editor/starters';
import { CARD_WIDTH } from '../../src/app/graph/layout';
import { draftOf, edge, node } from './fake_server';

const KIND: KindInfo = {
  kind: 'LLM_CALL', name: 'llmCall', title: 'Language model', description: '', ports: ['out'],
  configSchema: { type: 'object', properties: { prompt: { type: 'string' } } }, outputSchema: { type: 'object' },
}; // prettier-ignore
const PLUG_IN: KindInfo = {
  ...KIND,
  name: 'digest',
  configSchema: { type: 'object', required: ['text', 'note'], properties: { text: { type: 'string', minLength: 1 }, note: { type: 'string' }, algorithm: { enum: ['SHA256'], default: 'SHA256' } } },
};
const PLACES = new Map([['a', { x: 0, y: 0 }], ['b', { x: 280, y: 0 }]] as const);
const DRAFT = draftOf([{ ...node('a'), position: null }, { ...node('b'), position: null }], [edge('a', 'b')]);

const done = (draft: Draft, gesture: Gesture | null) => (gesture?.edits ?? []).reduce(apply, draft);

test('a new node gets a key, a place where nothing stands, and an edge from the chosen port', () => {
  const gesture = adding(DRAFT, PLACES, KIND, { after: { source: 'a', sourcePort: 'out' } });
  const draft = done(DRAFT, gesture);
  expect(gesture.key).toBe('answer');
  expect(nodeOf(draft, 'answer')?.position).toEqual({ x: CARD_WIDTH + 80, y: 150 });
  expect(draft.edges.at(-1)).toEqual(edge('a', 'answer'));
  expect(adding(draft, PLACES, KIND, {}).key).toBe('answer_2');
});

test('adding to a graph that nobody laid out stores where the others are', () => {
  const draft = done(DRAFT, adding(DRAFT, PLACES, KIND, { at: { x: 1.4, y: 2.6 } }));
  expect(draft.nodes.map((one) => one.position)).toEqual([{ x: 0, y: 0 }, { x: 280, y: 0 }, { x: 1, y: 3 }]);
});

test('a kind of a plug-in begins with what its schema asks for', () => {
  expect(starterOf(PLUG_IN)).toEqual({ digest: { text: 'text', note: '', algorithm: 'SHA256' } });
});

test('moving one node moves it alone', () => {
  const draft = done(DRAFT, moving(DRAFT, PLACES, new Map([['b', { x: 300.2, y: 9 }]])));
  expect(draft.nodes.map((one) => one.position)).toEqual([{ x: 0, y: 0 }, { x: 300, y: 9 }]);
  expect(moving(DRAFT, PLACES, new Map([['gone', { x: 0, y: 0 }]]))).toBeNull();
  expect(arranging(DRAFT, PLACES, PLACES)?.label).toBe('Arrange');
});

test('a copy has another key and no edges', () => {
  const draft = done(DRAFT, copying(DRAFT, PLACES, node('b')));
  expect(draft.nodes.map((one) => one.key)).toEqual(['a', 'b', 'b_2']);
  expect(draft.edges).toEqual(DRAFT.edges);
});

test('what cannot be done is no gesture', () => {
  expect(connecting(DRAFT, edge('b', 'a'))).toBeNull();
  expect(removing(DRAFT, 'gone')).toBeNull();
});
