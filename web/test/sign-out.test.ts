import { Client, fetchExchange } from '@urql/core';
import { expect, test, vi } from 'vitest';
import { signOut } from '../src/app/shell/sign-out';

function leaving(fetch: () => Promise<Response>) {
  const client = new Client({ url: 'http://localhost/graphql', preferGetMethod: false, exchanges: [fetchExchange], fetch });
  const session = { end: vi.fn() };
  return { session, leave: () => signOut(client, session) };
}

const json = (status: number, body: object) => async () =>
  new Response(JSON.stringify(body), { status, headers: { 'content-type': 'application/json' } });
const errors = (code: string, message: string) => ({ errors: [{ message, extensions: { code } }] });
const payload = (userErrors: object[]) => ({ data: { signOut: { __typename: 'SignOutPayload', userErrors } } });

test('signing out ends the session when the server has done it', async () => {
  const { session, leave } = leaving(json(200, payload([])));
  expect(await leave()).toBeNull();
  expect(session.end).toHaveBeenCalledOnce();
});

test.each([
  ['is down', async () => Promise.reject(new TypeError('fetch failed')), 'The server cannot be reached'],
  ['has no database', json(503, errors('SERVICE_UNAVAILABLE', 'The database does not answer.')), 'The database does not answer.'],
  ['refuses', json(200, payload([{ __typename: 'BasicUserError', message: 'Not you.', code: 'FORBIDDEN', path: null }])), 'Not you.'],
])('who signs out while the server %s stays signed in and learns why', async (_, fetch, why) => {
  const { session, leave } = leaving(fetch);
  expect(await leave()).toContain(why);
  expect(session.end).not.toHaveBeenCalled();
});

test('who is not signed in any more is signed out', async () => {
  const { session, leave } = leaving(json(401, errors('UNAUTHENTICATED', 'Sign in.')));
  expect(await leave()).toBeNull();
  expect(session.end).toHaveBeenCalledOnce();
});
