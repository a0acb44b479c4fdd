import { readFileSync } from 'node:fs';
import { buildSchema, parse, validate } from 'graphql';
import { beforeEach, describe, expect, test } from 'vitest';
import { OPENING, REFRESH, REFRESH_COOKIES, SIGN_IN, SIGN_OUT, SIGN_UP, WHO } from '../src/api';
import { type Example, examplesFor, fill, forget, type Holdings, remember } from '../src/examples';

const schema = buildSchema(readFileSync(new URL('../../schema.graphql', import.meta.url), 'utf8'));

const NEW: Holdings = {
  workspaceId: 'ws_1',
  may: ['READ', 'WRITE', 'EXECUTE', 'ADMIN'],
  workflow: null,
  newestRunId: null,
  unfinishedRunId: null,
  collectionId: null,
  tableId: null,
};
const OLD: Holdings = {
  workspaceId: 'ws_1',
  may: ['READ', 'WRITE', 'EXECUTE', 'ADMIN'],
  workflow: { id: 'wf_1', inputSchema: null, lastInput: { question: 'Why?' } },
  newestRunId: 'run_2',
  unfinishedRunId: 'run_1',
  collectionId: 'col_1',
  tableId: 'tab_1',
};
const ALL = [...examplesFor(null), ...examplesFor(NEW), ...examplesFor(OLD)];

function nameOf({ query }: Example): string | undefined {
  const [operation] = parse(query).definitions;
  return operation?.kind === 'OperationDefinition' ? operation.name?.value : undefined;
}

function variablesOf(holdings: Holdings, name: string): unknown {
  return examplesFor(holdings, 0).find((example) => nameOf(example) === name)?.variables;
}

describe('every document that the page sends is valid against the schema as built', () => {
  const documents = [...ALL.map(({ query }) => query), SIGN_IN, SIGN_UP, REFRESH, REFRESH_COOKIES, SIGN_OUT, WHO, OPENING];
  test.each([...new Set(documents)])('%s', (document) => {
    expect(validate(schema, parse(document))).toEqual([]);
  });

  test('a field that does not exist is found', () => {
    expect(validate(schema, parse('{ runs { nodes { colour } } }'))).toHaveLength(1);
  });
});

describe('the examples', () => {
  test('name every variable that their operation declares', () => {
    for (const { query, variables } of ALL) {
      const [operation] = parse(query).definitions;
      const declared = operation?.kind === 'OperationDefinition' ? (operation.variableDefinitions ?? []) : [];
      expect(Object.keys(variables ?? {})).toEqual(declared.map(({ variable }) => variable.name.value));
    }
  });

  test('need nothing where nobody is signed in', () => {
    expect(examplesFor(null).map(nameOf)).toEqual(['Clock', 'Server', 'WhoAmI']);
  });

  test('are about what their user has', () => {
    expect(examplesFor(OLD).map(nameOf)).toEqual([
      'WhoAmI', 'MyWorkflows', 'StartRun', 'WatchRun', 'RunSnapshot', 'SearchCollection', 'TableRows', 'MakeKey',
    ]);
    expect(variablesOf(OLD, 'MyWorkflows')).toEqual({ workspaceId: 'ws_1' });
    expect(variablesOf(OLD, 'StartRun')).toEqual({ workflowId: 'wf_1', input: { question: 'Why?' } });
    expect(variablesOf(OLD, 'WatchRun')).toEqual({ runId: 'run_1', after: null });
    expect(variablesOf(OLD, 'RunSnapshot')).toEqual({ runId: 'run_2' });
    expect(variablesOf(OLD, 'SearchCollection')).toMatchObject({ collectionId: 'col_1' });
    expect(variablesOf(OLD, 'TableRows')).toEqual({ tableId: 'tab_1' });
    expect(variablesOf(OLD, 'MakeKey')).toMatchObject({ workspaceId: 'ws_1', expiresAt: '1970-01-31T00:00:00.000Z' });
  });

  test('watch the newest run where none is at work', () => {
    expect(variablesOf({ ...OLD, unfinishedRunId: null }, 'WatchRun')).toEqual({ runId: 'run_2', after: null });
  });

  test('give the least input that a workflow takes which never ran', () => {
    const inputSchema = { type: 'object', required: ['name', 'count'], properties: { name: { type: 'string' }, count: { type: 'integer' } } };
    const workflow = { id: 'wf_1', inputSchema, lastInput: null };
    expect(variablesOf({ ...OLD, workflow }, 'StartRun')).toMatchObject({ input: { count: 0 } });
  });

  test('make first what their user has none of, and say so', () => {
    expect(examplesFor(NEW).map(nameOf)).toEqual([
      'WhoAmI', 'MyWorkflows', 'CreateWorkflow', 'StartRun', 'WatchRun', 'RunSnapshot',
      'CreateCollection', 'AddDocuments', 'SearchCollection', 'MakeKey',
    ]);
    const watch = examplesFor(NEW).find((example) => nameOf(example) === 'WatchRun');
    expect(watch?.query).toMatch(/^# There is no run yet: execute StartRun first/);
    expect(watch?.variables).toEqual({ runId: '@run', after: null });
  });
});

describe('what the user may not do is no example', () => {
  test('for who may only read', () => {
    expect(examplesFor({ ...NEW, may: ['READ'] }).map(nameOf)).toEqual(['WhoAmI', 'MyWorkflows']);
    expect(examplesFor({ ...OLD, may: ['READ'] }).map(nameOf)).toEqual([
      'WhoAmI', 'MyWorkflows', 'WatchRun', 'RunSnapshot', 'SearchCollection', 'TableRows',
    ]);
  });

  test('for who may start runs and change nothing', () => {
    const may = ['READ', 'EXECUTE'] as const;
    expect(examplesFor({ ...NEW, may }).map(nameOf)).toEqual(['WhoAmI', 'MyWorkflows']);
    expect(examplesFor({ ...OLD, newestRunId: null, unfinishedRunId: null, may }).map(nameOf)).toEqual([
      'WhoAmI', 'MyWorkflows', 'StartRun', 'WatchRun', 'RunSnapshot', 'SearchCollection', 'TableRows',
    ]);
  });
});

describe('what was made last', () => {
  beforeEach(forget);

  test('is asked for in one sentence before anything was made', () => {
    expect(() => fill({ runId: '@run' })).toThrow('execute the tab StartRun first');
  });

  test('stands in for its placeholder, and nothing else is touched', () => {
    remember({ data: { createWorkflow: { workflow: { id: 'wf_1' } } } });
    remember({ data: { startRun: { run: { id: 'run_1' } } } });
    remember({ data: { createCollection: { collection: { id: 'col_1' } } } });
    remember({ data: { startRun: { run: null } } });
    remember({ data: null, errors: [{ message: 'no' }] });
    expect(fill({ workflowId: '@workflow', runId: '@run', collectionId: '@collection', name: '@other', n: 1 })).toEqual({
      workflowId: 'wf_1',
      runId: 'run_1',
      collectionId: 'col_1',
      name: '@other',
      n: 1,
    });
    expect(fill(undefined)).toBeUndefined();
  });

  test('is forgotten when somebody else signs in', () => {
    remember({ data: { startRun: { run: { id: 'run_1' } } } });
    forget();
    expect(() => fill({ runId: '@run' })).toThrow('@run');
  });
});
