import { Client, fetchExchange } from '@urql/core';
import { describe, expect, test } from 'vitest';
import { editorApi } from '../../src/app/editor/api';
import { node } from './fake_server';

/** The editor's API on a server that answers everything with one error. */
function failing(status: number, code: string) {
  const body = JSON.stringify({ errors: [{ message: `This is ${code}.`, extensions: { code } }] });
  const fetch = async () => new Response(body, { status, headers: { 'content-type': 'application/json' } });
  const client = new Client({ url: 'http://localhost/graphql', preferGetMethod: false, exchanges: [fetchExchange], fetch });
  return editorApi(client, 'wf_1');
}

const edit = { type: 'add', node: node('a') } as const;

describe('an edit', () => {
  test.each([
    [500, 'INTERNAL_SERVER_ERROR'],
    [200, 'INTERNAL_SERVER_ERROR'],
    [503, 'SERVICE_UNAVAILABLE'],
    [503, 'TIMEOUT'],
    [401, 'UNAUTHENTICATED'],
    [502, 'SOMETHING_NEW'],
  ])('that the server could not take, with %i %s, is kept for another try', async (status, code) => {
    await expect(failing(status, code).send(edit, 1)).rejects.toThrow(`This is ${code}.`);
  });

  test.each([
    [400, 'BAD_USER_INPUT'],
    [400, 'GRAPHQL_VALIDATION_FAILED'],
    [413, 'PAYLOAD_TOO_LARGE'],
    [403, 'FORBIDDEN'],
  ])('that the server does not want, with %i %s, is refused', async (status, code) => {
    expect(await failing(status, code).send(edit, 1)).toMatchObject({ type: 'refused', errors: [{ message: `This is ${code}.` }] });
  });
});
