import { expect, test } from 'vitest';
import { nodeOf } from '../../src/app/editor/model';
import { EditorSync } from '../../src/app/editor/sync';
import { Door, editing, prompt, setPrompt, settled } from './editing';
import { draftOf, edge, FakeServer, node } from './fake_server';

test('edits show at once and arrive in order', async () => {
  const server = new FakeServer(draftOf([node('a')]));
  const ada = editing(server, 'Ada');
  ada.edit({ type: 'add', node: node('b') }, { type: 'connect', edge: edge('a', 'b') });
  ada.edit(setPrompt(ada.state().shown, 'b', 'new'));
  expect(prompt(ada.state().shown, 'b')).toBe('new');
  expect(ada.state().base.nodes).toHaveLength(1);
  await settled(ada);
  expect(server.log.map(({ edit }) => edit.type)).toEqual(['add', 'connect', 'update']);
  expect(ada.state().shown).toEqual(server.draft);
});

test('changes of one node that wait are sent as one', async () => {
  const server = new FakeServer(draftOf([node('a')]));
  const ada = editing(server, 'Ada');
  ada.door.shut();
  for (const text of ['1', '12', '123', '1234']) ada.edit(setPrompt(ada.state().shown, 'a', text));
  ada.door.open();
  await settled(ada);
  expect(server.log).toHaveLength(2);
  expect(prompt(server.draft, 'a')).toBe('1234');
});

test('undoing a removal restores edges, configuration and position', async () => {
  const before = draftOf([node('a'), { ...node('b'), position: { x: 7, y: 8 } }, node('c')], [edge('a', 'b'), edge('b', 'c')]);
  const server = new FakeServer(before);
  const ada = editing(server, 'Ada');
  ada.edit({ type: 'remove', key: 'b', seen: before.nodes[1] ?? node('b') });
  await settled(ada);
  expect(server.draft.edges).toHaveLength(0);
  ada.sync.dispatch({ type: 'undone' });
  await settled(ada);
  expect(nodeOf(server.draft, 'b')).toEqual(before.nodes[1]);
  expect(server.draft.edges).toEqual(before.edges);
  ada.sync.dispatch({ type: 'redone' });
  await settled(ada);
  expect(nodeOf(server.draft, 'b')).toBeUndefined();
});

test('all steps back and all steps forth give the same draft', async () => {
  const server = new FakeServer(draftOf([node('a')]));
  const ada = editing(server, 'Ada');
  const start = ada.state().shown;
  ada.edit({ type: 'add', node: node('b') });
  ada.edit({ type: 'connect', edge: edge('a', 'b') });
  ada.edit({ type: 'rename', key: 'a', newKey: 'first' });
  ada.edit({ type: 'move', positions: { first: { x: 5, y: 5 } }, from: { first: { x: 0, y: 0 } } });
  ada.edit({ type: 'configure', changes: { name: { before: 'Ask', after: 'Asked' } } });
  const end = ada.state().shown;
  while (ada.state().undo.length > 0) ada.sync.dispatch({ type: 'undone' });
  await settled(ada);
  expect({ ...server.draft, revision: 0 }).toEqual({ ...start, revision: 0 });
  while (ada.state().redo.length > 0) ada.sync.dispatch({ type: 'redone' });
  await settled(ada);
  expect(server.draft.nodes.map((one) => one.key).toSorted()).toEqual(end.nodes.map((one) => one.key).toSorted());
  expect(server.draft.edges).toEqual(end.edges);
  expect(server.draft.workflow.name).toBe('Asked');
});

test('what the server refuses is taken back and shown, and the rest goes on', async () => {
  const server = new FakeServer(draftOf([node('a'), node('b')], [edge('a', 'b')]));
  const ada = editing(server, 'Ada');
  ada.edit({ type: 'connect', edge: edge('b', 'a') });
  ada.edit(setPrompt(ada.state().shown, 'a', 'new'));
  await settled(ada);
  expect(ada.state().refusal).toMatchObject({ edit: { type: 'connect' }, errors: [{ code: 'INVALID_INPUT' }] });
  expect(ada.state().shown).toEqual(server.draft);
  expect(server.draft.edges).toHaveLength(1);
  expect(prompt(server.draft, 'a')).toBe('new');
  expect(ada.state().undo).toHaveLength(1);
});

test('who goes on typing while the server refuses has no conflict with oneself', async () => {
  const server = new FakeServer(draftOf([node('a')]));
  const ada = editing(server, 'Ada');
  server.refuse = (edit) => JSON.stringify(edit).includes('{{ half"');
  ada.edit(setPrompt(ada.state().shown, 'a', '{{ half'));
  const typedOn = setPrompt(ada.state().shown, 'a', '{{ half }}');
  await settled(ada);
  expect(ada.state().refusal).not.toBeNull();
  ada.edit(typedOn);
  await settled(ada);
  expect(ada.state()).toMatchObject({ refusal: null, conflicts: [] });
  expect(prompt(server.draft, 'a')).toBe('{{ half }}');
});

test('what waits behind a refused edit is made on what was there before', async () => {
  const server = new FakeServer(draftOf([node('a')]));
  const ada = editing(server, 'Ada');
  server.refuse = (edit) => JSON.stringify(edit).includes('{{ half"');
  ada.door.shut();
  ada.edit(setPrompt(ada.state().shown, 'a', '{{ half'));
  ada.edit(setPrompt(ada.state().shown, 'a', '{{ half }}'));
  ada.door.open();
  await settled(ada);
  expect(ada.state().conflicts).toEqual([]);
  expect(prompt(server.draft, 'a')).toBe('{{ half }}');
});

test('an answer that was lost does no harm: the edit is not made twice', async () => {
  const server = new FakeServer(draftOf([node('a')]));
  const api = server.api('Ada');
  let losses = 1;
  const sync = new EditorSync(
    {
      ...api,
      send: async (edit, revision) => {
        const answer = await api.send(edit, revision);
        if (losses-- > 0) throw new Error('The connection broke.');
        return answer;
      },
    },
    server.draft,
  );
  sync.dispatch({ type: 'edited', label: 'test', edits: [{ type: 'add', node: node('b') }] });
  await new Promise((resolve) => setImmediate(resolve));
  expect(sync.snapshot().fault).toBe('The connection broke.');
  sync.hurry();
  await settled({ sync });
  expect(server.draft.nodes.map((one) => one.key)).toEqual(['a', 'b']);
  expect(sync.snapshot()).toMatchObject({ fault: null, pending: [], conflicts: [], shown: server.draft });
});

test('a draft that was read before a move was saved does not take the move back', async () => {
  const server = new FakeServer(draftOf([node('a')]));
  const api = server.api('Ada');
  const door = new Door();
  const reading = async () => {
    const draft = await api.fetch();
    await door.pass();
    return draft;
  };
  const sync = new EditorSync({ ...api, fetch: reading }, server.draft);
  door.shut();
  const refreshed = sync.refresh();
  sync.dispatch({
    type: 'edited',
    label: 'move',
    edits: [{ type: 'move', positions: { a: { x: 9, y: 9 } }, from: { a: { x: 0, y: 0 } } }],
  });
  await settled({ sync });
  door.open();
  await refreshed;
  expect(nodeOf(sync.snapshot().shown, 'a')?.position).toEqual({ x: 9, y: 9 });
});
