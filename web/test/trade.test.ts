import { Client, fetchExchange } from '@urql/core';
import { expect, test } from 'vitest';
import { tradeBy } from '../src/app/api/trade';

function server(status: number, body: object) {
  const fetch = async () => new Response(JSON.stringify(body), { status, headers: { 'content-type': 'application/json' } });
  return tradeBy(() => new Client({ url: 'http://localhost/graphql', preferGetMethod: false, exchanges: [fetchExchange], fetch }));
}

const answer = (expiresAt: string | null, codes: string[]) => ({
  data: {
    refreshSession: {
      __typename: 'RefreshSessionPayload',
      expiresAt,
      userErrors: codes.map((code) => ({ __typename: 'BasicUserError', message: 'No.', code, path: null })),
    },
  },
});
const fault = (code: string) => ({ errors: [{ message: 'Not now.', extensions: { code } }] });

test('a renewal gives when the new session ends', async () => {
  expect(await server(200, answer('2026-11-25T13:00:00Z', []))(null)).toBe('2026-11-25T13:00:00Z');
});

test('a refresh token that is not taken ends the session', async () => {
  expect(await server(200, answer(null, ['INVALID_TOKEN']))(null)).toBeNull();
});

test.each([
  [503, fault('SERVICE_UNAVAILABLE')],
  [500, fault('INTERNAL_SERVER_ERROR')],
  [200, { ...fault('TIMEOUT'), data: null }],
])('an outage, with %i, ends no session', async (status, body) => {
  await expect(server(status, body)(null)).rejects.toThrow('Not now.');
});

test('an answer that says nothing of the token ends no session', async () => {
  await expect(server(200, answer(null, ['RATE_LIMITED']))(null)).rejects.toThrow();
});
