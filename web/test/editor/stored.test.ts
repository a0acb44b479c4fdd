import { expect, test } from 'vitest';
import { adding, copying, removing } from '../../src/app/editor/gestures';
import { nodeOf } from '../../src/app/editor/model';
import { EditorSync } from '../../src/app/editor/sync';
import { editing, settled } from './editing';
import { draftOf, FakeServer, node } from './fake_server';

const KIND = { kind: 'DB_WRITE', name: 'dbWrite', title: 'Write', description: '', configSchema: {}, outputSchema: {}, ports: ['out'] };

/** An editor in which a node was just added as a person adds it: with presets in its configuration and no policies. */
function added(isAnswered = true) {
  const server = new FakeServer(draftOf([node('a')]));
  const ada = editing(server, 'Ada');
  if (!isAnswered) ada.door.shut();
  const { edits } = adding(ada.state().shown, new Map(), KIND, { after: { source: 'a', sourcePort: 'out' } });
  ada.edit(...edits);
  return { server, ada };
}

const keys = (server: FakeServer) => server.draft.nodes.map(({ key }) => key);

test('adding a node can be undone and done again once it is saved', async () => {
  const { server, ada } = added();
  await settled(ada);
  for (let round = 0; round < 3; round += 1) {
    ada.sync.dispatch({ type: 'undone' });
    await settled(ada);
    expect(keys(server)).toEqual(['a']);
    ada.sync.dispatch({ type: 'redone' });
    await settled(ada);
    expect(keys(server)).toEqual(['a', 'save']);
    expect(server.draft.edges).toHaveLength(1);
  }
  expect(ada.state().conflicts).toEqual([]);
});

test('adding a node can be undone while it is on its way', async () => {
  const { server, ada } = added(false);
  ada.sync.dispatch({ type: 'undone' });
  ada.door.open();
  await settled(ada);
  expect(keys(server)).toEqual(['a']);
  expect(ada.state().conflicts).toEqual([]);
});

test('a new node whose policies and presets change while it is on its way does not clash with itself', async () => {
  const { server, ada } = added(false);
  const seen = nodeOf(ada.state().shown, 'save') ?? node('save');
  const dbWrite = { ...(seen.config.dbWrite as object), writeMode: 'UPSERT' };
  ada.edit({ type: 'update', key: 'save', changes: { retry: { before: null, after: { maximumAttempts: 5 } } } });
  ada.edit({ type: 'update', key: 'save', changes: { config: { before: seen.config, after: { dbWrite } } } });
  ada.door.open();
  await settled(ada);
  expect(ada.state().conflicts).toEqual([]);
  expect(nodeOf(server.draft, 'save')).toMatchObject({ retry: { maximumAttempts: 5, hasJitter: true }, config: { dbWrite } });
  while (ada.state().undo.length > 0) {
    ada.sync.dispatch({ type: 'undone' });
    await settled(ada);
  }
  expect(keys(server)).toEqual(['a']);
  expect(ada.state().conflicts).toEqual([]);
});

test('a change of a policy can be undone although the server completes it', async () => {
  const server = new FakeServer(draftOf([node('a')]));
  const ada = editing(server, 'Ada');
  const before = nodeOf(server.draft, 'a')?.retry ?? null;
  ada.edit({ type: 'update', key: 'a', changes: { retry: { before, after: null } } });
  ada.edit({ type: 'update', key: 'a', changes: { retry: { before: null, after: { maximumAttempts: 1 } } } });
  await settled(ada);
  ada.sync.dispatch({ type: 'undone' });
  ada.sync.dispatch({ type: 'undone' });
  await settled(ada);
  expect(ada.state().conflicts).toEqual([]);
  expect(nodeOf(server.draft, 'a')?.retry).toEqual(before);
});

test('a lost answer to an addition does not double the node, and what was made on top of it stands', async () => {
  const server = new FakeServer(draftOf([node('a')]));
  const api = server.api('Ada');
  let isLosing = true;
  const sync = new EditorSync(
    {
      ...api,
      send: async (edit, revision) => {
        const answer = await api.send(edit, revision);
        if (!isLosing) return answer;
        isLosing = false;
        throw new Error('The connection broke.');
      },
    },
    server.draft,
  );
  const { edits } = adding(sync.snapshot().shown, new Map(), KIND, {});
  sync.dispatch({ type: 'edited', label: 'Add', edits });
  const copied = copying(sync.snapshot().shown, new Map(), nodeOf(sync.snapshot().shown, 'save') ?? node('save'));
  sync.dispatch({ type: 'edited', label: 'Copy', edits: copied.edits });
  sync.dispatch({ type: 'edited', label: 'Remove', edits: removing(sync.snapshot().shown, 'save')?.edits ?? [] });
  await new Promise((resolve) => setImmediate(resolve));
  sync.hurry();
  await settled({ sync });
  expect(keys(server)).toEqual(['a', 'save_2']);
  expect(sync.snapshot().notices).toEqual([]);
  expect(sync.snapshot().conflicts).toEqual([]);
});
