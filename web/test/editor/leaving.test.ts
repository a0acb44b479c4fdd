import { expect, test, vi } from 'vitest';
import { nodeOf } from '../../src/app/editor/model';
import { unsavedIn } from '../../src/app/editor/unsaved';
import { Leaving } from '../../src/app/parts/leaving';
import { editing, setPrompt, settled } from './editing';
import { draftOf, FakeServer, node } from './fake_server';

/** An editor, and what happens to who would leave it and answers the question in one way. */
function leave(ada: ReturnType<typeof editing>, isSure: boolean) {
  const ask = vi.fn((_: string) => isSure);
  const leaving = new Leaving(ask);
  const reason = unsavedIn(ada.state());
  const release = reason === null ? () => {} : leaving.hold(reason, '/workflows/wf_1');
  const navigate = vi.fn();
  leaving.around(navigate, '/');
  return { ask, navigate, leaving, release };
}

function opened() {
  const server = new FakeServer(draftOf([node('a')]));
  return { server, ada: editing(server, 'Ada'), bob: editing(server, 'Bob') };
}

test('who leaves an editor in which everything is saved is not asked', async () => {
  const { ada } = opened();
  ada.edit(setPrompt(ada.state().shown, 'a', 'new'));
  await settled(ada);
  const { ask, navigate } = leave(ada, false);
  expect(ask).not.toHaveBeenCalled();
  expect(navigate).toHaveBeenCalledWith('/', undefined);
});

test('who leaves while a change waits to be saved is asked, and stays or goes', () => {
  const { ada } = opened();
  ada.door.shut();
  ada.edit(setPrompt(ada.state().shown, 'a', 'new'));
  const staying = leave(ada, false);
  expect(staying.ask).toHaveBeenCalledWith('Your last changes are not saved yet. Leave all the same?');
  expect(staying.navigate).not.toHaveBeenCalled();
  expect(leave(ada, true).navigate).toHaveBeenCalledOnce();
});

test('who leaves a change that the server refused is asked', async () => {
  const { server, ada } = opened();
  server.refuse = () => true;
  ada.edit(setPrompt(ada.state().shown, 'a', 'new'));
  await settled(ada);
  const { ask, navigate } = leave(ada, false);
  expect(ask.mock.lastCall?.[0]).toContain('has a fault');
  expect(navigate).not.toHaveBeenCalled();
});

test('who leaves before choosing between two changes is asked', async () => {
  const { server, ada, bob } = opened();
  bob.door.shut();
  bob.edit(setPrompt(bob.state().shown, 'a', 'of Bob'));
  ada.edit(setPrompt(ada.state().shown, 'a', 'of Ada'));
  bob.door.open();
  await settled(ada, bob);
  expect(nodeOf(server.draft, 'a')?.config).toEqual({ llmCall: { prompt: 'of Ada' } });
  const { ask, navigate } = leave(bob, false);
  expect(ask.mock.lastCall?.[0]).toContain('have not chosen');
  expect(navigate).not.toHaveBeenCalled();
});

test('who goes back by the browser is asked as well, and put where they were', () => {
  const { ada } = opened();
  ada.door.shut();
  ada.edit(setPrompt(ada.state().shown, 'a', 'new'));
  expect(leave(ada, false).leaving.pathToStayAt('/')).toBe('/workflows/wf_1');
  expect(leave(ada, true).leaving.pathToStayAt('/')).toBeNull();
  const { ask, leaving, release } = leave(ada, false);
  expect(leaving.pathToStayAt('/workflows/wf_1')).toBeNull();
  release();
  expect(leaving.pathToStayAt('/')).toBeNull();
  expect(ask).toHaveBeenCalledOnce();
});

test('a page that holds nothing back any more is left freely', () => {
  const { ada } = opened();
  ada.door.shut();
  ada.edit(setPrompt(ada.state().shown, 'a', 'new'));
  const { ask, navigate, leaving, release } = leave(ada, false);
  release();
  leaving.around(navigate, '/');
  expect(ask).toHaveBeenCalledOnce();
  expect(navigate).toHaveBeenCalledOnce();
});
