import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { buildSchema } from 'graphql';
import { describe, expect, test } from 'vitest';
import { curlOf, quoted } from '../src/curl';
import { type Request, requestOf, resumptionOf } from '../src/request';
import { typesOf } from '../src/result-types';
import { typescriptOf } from '../src/typescript';

const schema = buildSchema(readFileSync(new URL('../../schema.graphql', import.meta.url), 'utf8'));
const HOSTILE = `it's "$HOME" \`id\` $(id) \\ !! \n\t\r é 川 \u{1F30A} \u2028 %s #{x} *`;
const WATCH = `subscription Watch($runId: ID!, $after: String) {
  runEvents(runId: $runId, after: $after) { __typename cursor ... on NodeEvent { nodeKey } ... on RunFailed { error { code } } }
}`;

function request(query: string, variables: Record<string, unknown> = {}, more: Partial<Parameters<typeof requestOf>[0]> = {}): Request {
  return requestOf({ query, offset: 0, operationName: null, variables, headers: {}, ...more });
}

/** What the program `curl` gets from bash as arguments. */
function argumentsOf(command: string): string[] {
  const script = `curl() { printf '%s\\0' "$@"; }\n${command}`;
  const environment = { PATH: process.env['PATH'], ANABRANCH_TOKEN: 'a token' };
  return execFileSync('bash', ['--norc', '-c', script], { env: environment, encoding: 'utf8' }).split('\0').slice(0, -1);
}

function headersIn(given: readonly string[]): string[] {
  return given.filter((_, index) => given[index - 1] === '-H');
}

describe('the operation that is copied', () => {
  const TWO = 'query A { server { ...S } }\nmutation B { signOut(input: {}) { userErrors { code } } }\nfragment S on ServerInfo { version }';

  test('is the one at the cursor with the fragments that it needs, and nothing else', () => {
    expect(request(TWO).query).toBe('query A {\n  server {\n    ...S\n  }\n}\n\nfragment S on ServerInfo {\n  version\n}');
    expect(request(TWO, {}, { offset: TWO.indexOf('signOut') }).query).toMatch(/^mutation B/);
    expect(request(TWO, {}, { offset: TWO.length }).query).toMatch(/^query A/);
    expect(request(TWO, {}, { offset: TWO.length, operationName: 'B' }).query).toMatch(/^mutation B/);
  });

  test('has the variables that it declares', () => {
    expect(request('query A($id: ID!, $n: Int) { a(id: $id, n: $n) }', { id: 'x', other: 1 }).variables).toEqual({ id: 'x' });
  });

  test('has the headers of the tab, and never a token or cookie', () => {
    const headers = { 'X-Request-Id': 7, Authorization: 'Bearer secret', 'Proxy-Authorization': 'secret', cookie: 'secret', Accept: 'text/html' };
    expect(request('{ a }', {}, { headers }).headers).toEqual([['X-Request-Id', '7']]);
  });

  test('must be there', () => {
    expect(() => request('fragment S on ServerInfo { version }')).toThrow('no operation');
    expect(() => request('query {')).toThrow('Syntax Error');
  });
});

describe('a command for bash', () => {
  test.each([HOSTILE, "'", "''", '', '-n', '$ANABRANCH_TOKEN'])('gives on the text as it is: %j', (text) => {
    expect(execFileSync('bash', ['--norc', '-c', `printf %s ${quoted(text)}`], { encoding: 'utf8' })).toBe(text);
  });

  test('sends the operation with its variables, and the token that the environment has', () => {
    const command = curlOf(request('query A($text: String!) { a(text: $text) }', { text: HOSTILE }), 'http://127.0.0.1/graphql');
    const given = argumentsOf(command);
    expect(given).toContain('http://127.0.0.1/graphql');
    expect(headersIn(given)).toEqual(['Authorization: Bearer a token', 'Content-Type: application/json']);
    expect(JSON.parse(given.at(-1) ?? '')).toEqual({ query: expect.stringContaining('query A('), variables: { text: HOSTILE } });
    expect(command).toContain('$ANABRANCH_TOKEN');
  });

  test('asks for a stream where the operation is a subscription', () => {
    const given = argumentsOf(curlOf(request(WATCH), 'http://127.0.0.1/graphql'));
    expect(given[0]).toBe('-N');
    expect(headersIn(given)).toContain('Accept: text/event-stream');
  });
});

describe('a program in TypeScript', () => {
  test('has the types of what is asked for', () => {
    const types = typesOf(request('query A($id: ID!, $n: Int = 3) { run(id: $id) { id input status isIt: isFinished snapshot { nodes { key error { code } } } } }'), schema);
    expect(types).toContain('type Variables = {\n  id: string;\n  n?: number | null;\n};');
    expect(types).toContain('  run: {\n    id: string;\n    input: unknown | null;\n');
    expect(types).toContain('    isIt: boolean;\n    snapshot: {\n      nodes: Array<{\n        key: string;\n        error: {\n          code: string;\n        } | null;\n      }>;');
  });

  test('tells kinds of one interface apart by their name, and those that answer the same once', () => {
    const types = typesOf(request(WATCH), schema);
    expect(types.match(/nodeKey: string/g)).toHaveLength(1);
    expect(types).toMatch(/__typename: 'RunFailed';\n\s+cursor: string;\n\s+error: \{/);
  });

  test('has what a directive may leave out as optional', () => {
    const types = typesOf(request('query A($x: Boolean!) { server { version @include(if: $x) ... @skip(if: $x) { isSignUpOpen } } }'), schema);
    expect(types).toContain('version?: string;');
    expect(types).toContain('isSignUpOpen?: boolean;');
  });

  test('has the inputs that the variables need, those that contain themselves too', () => {
    const types = typesOf(request('query A($id: ID!, $filter: FilterInput) { collection(id: $id) { documents(filter: $filter) { totalCount } } }'), schema);
    expect(types).toMatch(/type FilterInput = \{/);
    expect(types.match(/type FilterInput = /g)).toHaveLength(1);
    expect(types).toMatch(/FilterInput( \| null)?> \| null|FilterInput \| null/);
  });

  test('goes on behind the last cursor where the subscription has one', () => {
    expect(resumptionOf(request(WATCH))).toEqual({ variable: 'after', field: 'runEvents' });
    expect(typescriptOf(request(WATCH), 'http://h/graphql', schema)).toContain('variables.after = data.runEvents.cursor;');
    const clock = request('subscription { serverTime }');
    expect(resumptionOf(clock)).toBeNull();
    expect(typescriptOf(clock, 'http://h/graphql', schema)).not.toContain('cursor');
  });

  test('gives a silent socket up, and takes that and what the server may say once for no refusal', () => {
    const program = typescriptOf(request(WATCH), 'http://h/graphql', schema);
    expect(program).toContain('client.terminate()');
    const text = /function isRefusal\(error: unknown\): boolean (\{[^]*?\n\})/.exec(program)?.[1];
    const lists = /const FINAL = .*\nconst PASSING = .*\n/.exec(program)?.[0];
    const isRefusal = new Function('error', `${lists}${text}`) as (error: unknown) => boolean;
    const errors = (code: string) => [{ message: 'why', extensions: { code } }];
    const passing = [{ code: 1006 }, { code: 1011 }, { code: 4408 }, Object.assign(new Error('Terminated'), { code: 4499 }), errors('TIMEOUT')];
    expect(passing.map(isRefusal)).toEqual(passing.map(() => false));
    expect([{ code: 4403 }, new Error('mine'), errors('CURSOR_EXPIRED')].map(isRefusal)).toEqual([true, true, true]);
  });

  test('is honest where there is no schema', () => {
    const program = typescriptOf(request(WATCH), 'http://h/graphql', null);
    expect(program).toContain('type Data = Record<string, unknown>;');
    expect(program).not.toContain('.cursor');
  });

  test('keeps backticks and dollars in the text of the operation', () => {
    const program = typescriptOf(request('query A { a(text: "`${x}\\\\") }'), 'http://h/graphql', null);
    expect(program).toContain('a(text: "\\`\\${x}\\\\\\\\")');
  });
});
