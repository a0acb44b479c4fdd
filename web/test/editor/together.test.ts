import { expect, test } from 'vitest';
import type { Edit } from '../../src/app/editor/edits';
import { isEqual } from '../../src/app/editor/json';
import { type Draft, hasEdge, nodeOf } from '../../src/app/editor/model';
import { editing, prompt, setPrompt, settled } from './editing';
import { draftOf, edge, FakeServer, node } from './fake_server';

test('two people who change different fields of one node both get their way', async () => {
  const server = new FakeServer(draftOf([node('a')]));
  const [ada, bob] = [editing(server, 'Ada'), editing(server, 'Bob')];
  bob.door.shut();
  bob.edit({ type: 'update', key: 'a', changes: { join: { before: 'ALL', after: 'ANY' } } });
  ada.edit(setPrompt(ada.state().shown, 'a', 'of Ada'));
  await settled(ada);
  bob.door.open();
  await settled(ada, bob);
  expect(prompt(server.draft, 'a')).toBe('of Ada');
  expect(nodeOf(server.draft, 'a')?.join).toBe('ANY');
  expect(bob.state().conflicts).toEqual([]);
  expect(bob.state().shown).toEqual(server.draft);
  expect(ada.state().shown).toEqual(server.draft);
  expect(ada.state().notices.map((one) => one.text)).toEqual(['Bob changed “a”.']);
});

function clash() {
  const server = new FakeServer(draftOf([node('a')]));
  const [ada, bob] = [editing(server, 'Ada'), editing(server, 'Bob')];
  bob.door.shut();
  bob.edit(setPrompt(bob.state().shown, 'a', 'of Bob'));
  ada.edit(setPrompt(ada.state().shown, 'a', 'of Ada'));
  bob.door.open();
  return { server, ada, bob };
}

test('who changes the same field second sees theirs beside mine, and by whom', async () => {
  const { server, ada, bob } = clash();
  await settled(ada, bob);
  expect(prompt(server.draft, 'a')).toBe('of Ada');
  expect(bob.state().conflicts).toMatchObject([
    { by: 'Ada', conflict: { type: 'field', nodeKey: 'a', path: ['config', 'llmCall', 'prompt'], mine: 'of Bob' } },
  ]);
});

test('mine, once chosen, takes the place of theirs, and can be undone', async () => {
  const { server, ada, bob } = clash();
  await settled(ada, bob);
  bob.sync.dispatch({ type: 'chosen', id: bob.state().conflicts[0]?.id ?? 0, choice: 'mine' });
  await settled(ada, bob);
  expect(prompt(server.draft, 'a')).toBe('of Bob');
  expect(prompt(ada.state().shown, 'a')).toBe('of Bob');
  expect(bob.state().conflicts).toEqual([]);
  bob.sync.dispatch({ type: 'undone' });
  await settled(ada, bob);
  expect(prompt(server.draft, 'a')).toBe('of Ada');
});

test('theirs, once chosen, stays', async () => {
  const { server, ada, bob } = clash();
  await settled(ada, bob);
  bob.sync.dispatch({ type: 'chosen', id: bob.state().conflicts[0]?.id ?? 0, choice: 'theirs' });
  await settled(ada, bob);
  expect(prompt(server.draft, 'a')).toBe('of Ada');
  expect(bob.state().conflicts).toEqual([]);
});

test('a node that the other removed can be kept with my change and its edges', async () => {
  const server = new FakeServer(draftOf([node('a'), node('b')], [edge('a', 'b')]));
  const [ada, bob] = [editing(server, 'Ada'), editing(server, 'Bob')];
  bob.door.shut();
  bob.edit(setPrompt(bob.state().shown, 'b', 'of Bob'));
  ada.edit({ type: 'remove', key: 'b', seen: node('b') });
  bob.door.open();
  await settled(ada, bob);
  expect(nodeOf(server.draft, 'b')).toBeUndefined();
  expect(bob.state().conflicts).toMatchObject([{ by: 'Ada', conflict: { type: 'removed', node: { key: 'b' } } }]);
  bob.sync.dispatch({ type: 'chosen', id: bob.state().conflicts[0]?.id ?? 0, choice: 'mine' });
  await settled(ada, bob);
  expect(prompt(server.draft, 'b')).toBe('of Bob');
  expect(hasEdge(server.draft, edge('a', 'b'))).toBe(true);
});

test('what is still typed when the other removes the node can be brought back too', async () => {
  const server = new FakeServer(draftOf([node('a'), node('b')], [edge('a', 'b')]));
  const [ada, bob] = [editing(server, 'Ada'), editing(server, 'Bob')];
  const typed = setPrompt(bob.state().shown, 'b', 'of Bob');
  ada.edit({ type: 'remove', key: 'b', seen: node('b') });
  await settled(ada, bob);
  bob.edit(typed);
  expect(bob.state().conflicts).toMatchObject([{ by: 'Ada', conflict: { type: 'removed', node: { key: 'b' } } }]);
  bob.sync.dispatch({ type: 'chosen', id: bob.state().conflicts[0]?.id ?? 0, choice: 'mine' });
  await settled(ada, bob);
  expect(prompt(server.draft, 'b')).toBe('of Bob');
  expect(hasEdge(server.draft, edge('a', 'b'))).toBe(true);
});

test('what is still typed when the other changes it says by whom', async () => {
  const server = new FakeServer(draftOf([node('a')]));
  const [ada, bob] = [editing(server, 'Ada'), editing(server, 'Bob')];
  const typed = setPrompt(bob.state().shown, 'a', 'of Bob');
  ada.edit(setPrompt(ada.state().shown, 'a', 'of Ada'));
  await settled(ada, bob);
  bob.edit(typed);
  expect(bob.state().conflicts).toMatchObject([{ by: 'Ada', conflict: { type: 'field', mine: 'of Bob' } }]);
});

test('a node that the other changed is not removed before I know', async () => {
  const server = new FakeServer(draftOf([node('a')]));
  const [ada, bob] = [editing(server, 'Ada'), editing(server, 'Bob')];
  bob.door.shut();
  bob.edit({ type: 'remove', key: 'a', seen: node('a') });
  ada.edit(setPrompt(ada.state().shown, 'a', 'of Ada'));
  bob.door.open();
  await settled(ada, bob);
  expect(prompt(server.draft, 'a')).toBe('of Ada');
  expect(bob.state().conflicts).toMatchObject([{ by: 'Ada', conflict: { type: 'changed', nodeKey: 'a' } }]);
  bob.sync.dispatch({ type: 'undone' });
  expect(bob.state().shown.nodes).toHaveLength(1);
});

test('a change follows the node that the other renamed', async () => {
  const server = new FakeServer(draftOf([node('a'), node('b')]));
  const [ada, bob] = [editing(server, 'Ada'), editing(server, 'Bob')];
  bob.door.shut();
  bob.edit(setPrompt(bob.state().shown, 'a', 'of Bob'));
  ada.edit({ type: 'rename', key: 'a', newKey: 'first' });
  bob.door.open();
  await settled(ada, bob);
  expect(prompt(server.draft, 'first')).toBe('of Bob');
  expect(bob.state().conflicts).toEqual([]);
});

test('two nodes with one key get two keys, and edges go to the right one', async () => {
  const server = new FakeServer(draftOf([node('a')]));
  const [ada, bob] = [editing(server, 'Ada'), editing(server, 'Bob')];
  bob.door.shut();
  bob.edit({ type: 'add', node: node('b', { transform: { fields: [] } }) }, { type: 'connect', edge: edge('a', 'b') });
  ada.edit({ type: 'add', node: node('b') });
  bob.door.open();
  await settled(ada, bob);
  expect(server.draft.nodes.map((one) => one.key)).toEqual(['a', 'b', 'b_2']);
  expect(hasEdge(server.draft, edge('a', 'b_2'))).toBe(true);
  expect(bob.state().notices.map((one) => one.text)).toContain('Someone else added a node “b”; yours is now “b_2”.');
  bob.sync.dispatch({ type: 'undone' });
  await settled(ada, bob);
  expect(server.draft.nodes.map((one) => one.key)).toEqual(['a', 'b']);
});

test('moves need no revision, and the last one wins', async () => {
  const server = new FakeServer(draftOf([node('a')]));
  const [ada, bob] = [editing(server, 'Ada'), editing(server, 'Bob')];
  ada.edit(setPrompt(ada.state().shown, 'a', 'of Ada'));
  bob.edit({ type: 'move', positions: { a: { x: 9, y: 9 } }, from: { a: { x: 0, y: 0 } } });
  await settled(ada, bob);
  expect(server.draft.revision).toBe(2);
  expect(ada.state().shown).toEqual(server.draft);
  expect(bob.state().shown).toEqual(server.draft);
  expect(nodeOf(server.draft, 'a')?.position).toEqual({ x: 9, y: 9 });
});

/** A generator of pseudo-random numbers, so that a failure can be repeated. */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

function anyEdit(draft: Draft, who: string, count: number, pick: (below: number) => number): Edit {
  const one = draft.nodes[pick(draft.nodes.length)];
  const other = draft.nodes[pick(draft.nodes.length)];
  if (!one || !other) return { type: 'add', node: node(`n${pick(6)}`, { llmCall: { prompt: `${who} ${count}` } }) };
  switch (pick(7)) {
    case 0:
      return { type: 'add', node: node(`n${pick(6)}`, { llmCall: { prompt: `${who} ${count}` } }) };
    case 1:
      return { type: 'remove', key: one.key, seen: one };
    case 2:
      return { type: 'connect', edge: edge(one.key, other.key) };
    case 3:
      return { type: 'move', positions: { [one.key]: { x: pick(9), y: pick(9) } }, from: { [one.key]: one.position ?? { x: 0, y: 0 } } };
    case 4:
      return { type: 'rename', key: one.key, newKey: `r${pick(6)}` };
    default:
      return setPrompt(draft, one.key, `${who} ${count}`);
  }
}

test('whatever two people do, both see the same draft in the end', async () => {
  for (let seed = 1; seed <= 150; seed += 1) {
    const pick = random(seed);
    const server = new FakeServer(draftOf([node('a'), node('b'), node('c')]));
    const editors = [editing(server, 'Ada'), editing(server, 'Bob')] as const;
    for (let count = 0; count < 40; count += 1) {
      const editor = editors[pick(2)] ?? editors[0];
      if (pick(3) === 0) editor.door.shut();
      else editor.door.open();
      if (pick(8) === 0) editor.sync.dispatch({ type: pick(2) ? 'undone' : 'redone' });
      else editor.edit(anyEdit(editor.state().shown, editor === editors[0] ? 'x' : 'y', count, pick));
      if (pick(4) === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    for (const editor of editors) editor.door.open();
    await settled(...editors);
    for (const editor of editors) {
      expect(isEqual(editor.state().shown as never, server.draft as never), `seed ${seed}`).toBe(true);
      expect(editor.state().deferred).toEqual([]);
    }
  }
});

test('the last text that a person gave a node was saved, or is shown in a conflict', async () => {
  let conflicts = 0;
  for (let seed = 1; seed <= 300; seed += 1) {
    const pick = random(seed);
    const server = new FakeServer(draftOf([node('a'), node('b'), node('c')]));
    const editors = [editing(server, 'Ada'), editing(server, 'Bob')] as const;
    const texts = [new Map<string, string>(), new Map<string, string>()] as const;
    for (let count = 0; count < 40; count += 1) {
      const who = pick(2) === 0 ? 0 : 1;
      const editor = editors[who];
      if (pick(2) === 0) editor.door.shut();
      else editor.door.open();
      const edit = anyEdit(editor.state().shown, `person ${who}, text`, count, pick);
      // Keys stay what they are here, so that it is known which node a text was for.
      if (edit.type === 'rename') continue;
      // Who overwrites or removes it again has given the text up.
      if ('key' in edit) texts[who].delete(edit.key);
      if (edit.type === 'update') texts[who].set(edit.key, `person ${who}, text ${count}`);
      editor.edit(edit);
      if (pick(4) === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    for (const editor of editors) editor.door.open();
    await settled(...editors);
    for (const who of [0, 1] as const) {
      const state = editors[who].state();
      conflicts += state.conflicts.length;
      const kept = JSON.stringify([server.log, state.conflicts, state.refusal]);
      for (const text of texts[who].values()) expect(kept, `seed ${seed}`).toContain(text.replaceAll('"', ''));
    }
  }
  expect(conflicts).toBeGreaterThan(20);
});
