import { expect, test } from 'vitest';
import { completed, completionAt, namesFor } from '../../src/app/editor/completion';
import { ancestorsOf, mayConnect, targetsOf } from '../../src/app/editor/wiring';
import { draftOf, edge, node } from './fake_server';

const DRAFT = draftOf(
  [node('find', { faissSearch: {} }), node('shape', { transform: { fields: [{ name: 'city', value: 'x' }] } }), node('answer'), node('other')],
  [edge('find', 'shape'), edge('shape', 'answer')],
);
const WITH_INPUT = {
  ...DRAFT,
  workflow: { ...DRAFT.workflow, inputSchema: { type: 'object', properties: { question: { type: 'string' }, 'odd name': {} } } },
};
const OUTPUTS = new Map([
  ['faissSearch', { type: 'object', properties: { matches: { type: 'array', description: 'Best first.' } } }],
]);
const NAMES = namesFor(WITH_INPUT, 'answer', OUTPUTS, ['KEY']);

test('names are those of nodes before, of the input, of the run and of secrets', () => {
  expect(NAMES.map((one) => one.path)).toEqual([
    'nodes.shape.output', 'nodes.shape.output.city', 'nodes.find.output', 'nodes.find.output.matches',
    'input', 'input.question', "input['odd name']", 'run.id', 'run.startedAt', 'secrets.KEY',
  ]); // prettier-ignore
});

test('inside a loop the item has a name, and behind an error port the error', () => {
  const looped = { ...node('answer'), forEach: { items: '{{ input.list }}' } };
  const draft = draftOf([node('find'), looped], [edge('find', 'answer', 'error')]);
  const paths = namesFor(draft, 'answer', new Map(), []).map((one) => one.path);
  expect(paths.slice(0, 5)).toEqual(['item', 'index', 'error.code', 'error.message', 'error.attempt']);
});

test('a template offers names between its braces only', () => {
  expect(completionAt('Say nod', 7, NAMES, false)).toBeNull();
  expect(completionAt('{{ input }} nod', 15, NAMES, false)).toBeNull();
  expect(completionAt('Say {{ nodes.fi', 15, NAMES, false)?.options.map((one) => one.path)).toEqual(['nodes.find.output', 'nodes.find.output.matches']);
  expect(completionAt('{{', 2, NAMES, false)?.options).toHaveLength(8);
});

test('a part of a name finds it too, a filter or a text does not', () => {
  expect(completionAt('{{ quest', 8, NAMES, false)?.options[0]?.path).toBe('input.question');
  expect(completionAt('{{ input.question | in', 22, NAMES, false)).toBeNull();
  expect(completionAt("{{ 'in", 6, NAMES, false)).toBeNull();
});

test('an expression offers names everywhere', () => {
  expect(completionAt('input.q', 7, NAMES, true)?.options.map((one) => one.path)).toEqual(['input.question']);
});

test('a chosen name replaces what was typed and closes the braces', () => {
  const text = 'Say {{nodes.fi and go';
  const completion = completionAt(text, 14, NAMES, false);
  const name = completion?.options[1];
  if (!completion || !name) throw new Error('nothing offered');
  expect(completed(text, 14, completion, name, false)).toEqual({ text: 'Say {{ nodes.find.output.matches }} and go', caret: 32 });
  const closed = '{{ inp }} x';
  const again = completionAt(closed, 6, NAMES, false);
  if (!again?.options[0]) throw new Error('nothing offered');
  expect(completed(closed, 6, again, again.options[0], false).text).toBe('{{ input }} x');
});

test('who comes before, and what closes no circle', () => {
  expect(ancestorsOf(DRAFT, 'answer')).toEqual(['shape', 'find']);
  expect(mayConnect(DRAFT, edge('answer', 'find'))).toBe(false);
  expect(mayConnect(DRAFT, edge('find', 'find'))).toBe(false);
  expect(mayConnect(DRAFT, edge('find', 'shape'))).toBe(false);
  expect(mayConnect(DRAFT, edge('find', 'answer'))).toBe(true);
  expect(targetsOf(DRAFT, 'shape', 'out').map((one) => one.key)).toEqual(['other']);
});
