import { readFileSync } from 'node:fs';
import { buildSchema, parse, validate } from 'graphql';
import { describe, expect, test } from 'vitest';
import { REFRESH, SIGN_IN, SIGN_OUT, SIGN_UP, WHO } from '../src/api';
import { EXAMPLES, fill, remember, TABS } from '../src/examples';

const schema = buildSchema(readFileSync(new URL('../../schema.graphql', import.meta.url), 'utf8'));

describe('every document that the page sends is valid against the schema as built', () => {
  const documents = [...EXAMPLES.map(({ query }) => query), SIGN_IN, SIGN_UP, REFRESH, SIGN_OUT, WHO];
  test.each(documents)('%s', (document) => {
    expect(validate(schema, parse(document))).toEqual([]);
  });

  test('a field that does not exist is found', () => {
    expect(validate(schema, parse('{ runs { nodes { colour } } }'))).toHaveLength(1);
  });
});

describe('the tabs', () => {
  test('give each example with its variables as JSON', () => {
    expect(TABS).toHaveLength(EXAMPLES.length);
    expect(TABS.map(({ variables }) => variables && JSON.parse(variables))).toEqual(
      EXAMPLES.map(({ variables }) => variables ?? null),
    );
  });

  test('name every variable that their operation declares', () => {
    for (const { query, variables } of EXAMPLES) {
      const [operation] = parse(query).definitions;
      const declared = operation?.kind === 'OperationDefinition' ? (operation.variableDefinitions ?? []) : [];
      expect(Object.keys(variables ?? {})).toEqual(declared.map(({ variable }) => variable.name.value));
    }
  });
});

describe('what was made last', () => {
  test('is asked for in one sentence before anything was made', () => {
    expect(() => fill({ runId: '@run' })).toThrow('start a run in its tab first');
  });

  test('stands in for its placeholder, and nothing else is touched', () => {
    remember({ data: { createWorkflow: { workflow: { id: 'wf_1' } } } });
    remember({ data: { startRun: { run: { id: 'run_1' } } } });
    remember({ data: { startRun: { run: null } } });
    remember({ data: null, errors: [{ message: 'no' }] });
    expect(fill({ workflowId: '@workflow', runId: '@run', name: '@other', n: 1 })).toEqual({
      workflowId: 'wf_1',
      runId: 'run_1',
      name: '@other',
      n: 1,
    });
    expect(fill(undefined)).toBeUndefined();
  });
});
