import { expect, test } from 'vitest';
import { callOf, draftOf, errorsOf } from '../../src/app/editor/convert';
import type { DraftFieldsFragment } from '../../src/app/generated/graphql';
import { edge, node } from './fake_server';

const based = { workflowId: 'wf_1', expectedRevision: 7 };

test('each edit is one mutation, based on a revision', () => {
  expect(callOf('wf_1', 7, { type: 'connect', edge: edge('a', 'b') })).toEqual({
    name: 'connectNodes',
    input: { ...based, source: 'a', sourcePort: 'out', target: 'b' },
  });
  expect(callOf('wf_1', 7, { type: 'rename', key: 'a', newKey: 'b' }).input).toEqual({ ...based, key: 'a', newKey: 'b' });
  expect(callOf('wf_1', 7, { type: 'remove', key: 'a', seen: node('a') })).toEqual({ name: 'removeNode', input: { ...based, key: 'a' } });
});

test('an update sends what is wanted, null to clear, and nothing else', () => {
  const call = callOf('wf_1', 7, { type: 'update', key: 'a', changes: { when: { before: 'x', after: null }, join: { before: 'ALL', after: 'ANY' } } });
  expect(call).toEqual({ name: 'updateNode', input: { ...based, key: 'a', when: null, join: 'ANY' } });
});

test('a move has no revision', () => {
  const call = callOf('wf_1', 7, { type: 'move', positions: { a: { x: 1, y: 2 } }, from: {} });
  expect(call).toEqual({ name: 'moveNodes', input: { workflowId: 'wf_1', positions: [{ key: 'a', x: 1, y: 2 }] } });
});

test('a node is added without what is null, so that the presets of the server hold', () => {
  const added = { ...node('a'), onError: { mode: 'STOP' }, retry: null, timeouts: null, position: { x: 1, y: 2 } };
  const { input } = callOf('wf_1', 7, { type: 'add', node: added });
  expect(input['node']).toEqual({
    key: 'a', config: { llmCall: { prompt: 'hello from a' } }, position: { x: 1, y: 2 }, join: 'ALL', onError: { mode: 'STOP' },
  }); // prettier-ignore
});

test('settings of the workflow go to the workflow', () => {
  const call = callOf('wf_1', 7, { type: 'configure', changes: { name: { before: 'A', after: 'B' } } });
  expect(call).toEqual({ name: 'updateWorkflow', input: { id: 'wf_1', expectedRevision: 7, name: 'B' } });
});

test('a draft is read without the names that the client library adds, and a name that is the key is none', () => {
  const { key, config, ports, position, when, join, forEach, onError } = node('a');
  const given = {
    __typename: 'Workflow', id: 'wf_1', slug: 's', name: 'N', description: null, revision: 3, isRunnable: true, inputSchema: null, output: [],
    settings: { __typename: 'WorkflowSettings', timeoutMs: null }, updatedBy: null, problems: [],
    graph: {
      __typename: 'Graph',
      nodes: [{ __typename: 'GraphNode', key, name: key, kind: 'LLM_CALL', configInput: config, ports, position, when, join, forEach, onError, retry: null, timeouts: null }],
      edges: [{ __typename: 'GraphEdge', ...edge('a', 'b') }],
    },
  }; // prettier-ignore
  const draft = draftOf(given as unknown as DraftFieldsFragment);
  expect(draft).toMatchObject({ revision: 3, workflow: { name: 'N', settings: { timeoutMs: null } }, edges: [edge('a', 'b')] });
  expect(draft.nodes[0]).toMatchObject({ key: 'a', name: null, config });
  expect(JSON.stringify(draft)).not.toContain('__typename');
});

test('errors come with the places that forms know', () => {
  const problem = { severity: 'ERROR' as const, code: 'TEMPLATE_SYNTAX', nodeKey: 'a', edge: null, path: ['config', 'llmCall', 'prompt'], message: 'No.', hint: null };
  const errors = errorsOf([
    { __typename: 'GraphProblemsError', message: 'It has problems.', code: 'GRAPH_PROBLEMS', path: null, problems: [problem] },
    { __typename: 'InvalidInputError', message: 'Taken.', code: 'INVALID_INPUT', path: ['input', 'newKey'] },
  ]);
  expect(errors.map(({ path, message }) => [path.join('.'), message])).toEqual([
    ['config.llmCall.prompt', 'No.'],
    ['newKey', 'Taken.'],
  ]);
});
