/** Between the API's shapes and the editor's. */

import type { DraftFieldsFragment, ProblemFragment } from '../generated/graphql';
import type { Edit } from './edits';
import type { JsonObject } from './json';
import type { Draft, DraftNode } from './model';
import type { EditError } from './state';

type ApiNode = DraftFieldsFragment['graph']['nodes'][number];

/** Drop the names that the client library adds to every object. */
function plain<Value>(value: Value): Value {
  if (Array.isArray(value)) return value.map(plain) as Value;
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).flatMap(([name, one]) => (name === '__typename' ? [] : [[name, plain(one)]]))) as Value;
}

export function draftOf(given: DraftFieldsFragment): Draft {
  const { revision, name, description, inputSchema, output, settings, graph, problems } = plain(given);
  return {
    revision,
    workflow: { name, description, inputSchema, output, settings } as Draft['workflow'],
    nodes: graph.nodes.map(nodeFrom),
    edges: graph.edges,
    problems,
  };
}

function nodeFrom({ key, name, configInput, ports, position, when, join, forEach, onError, retry, timeouts }: ApiNode): DraftNode {
  return {
    key,
    // The API shows the key where no name was given.
    name: name === key ? null : name,
    config: configInput as JsonObject,
    ports,
    position,
    when,
    join,
    forEach,
    onError: onError as JsonObject,
    retry,
    timeouts,
  };
}

/** Return a node as `GraphNodeInput`; what is absent gets the server's presets. */
function nodeInput(node: DraftNode): JsonObject {
  const { key, name, config, position, when, join, forEach, onError, retry, timeouts } = node;
  const given = { key, name, config, position: position && { ...position }, when, join, forEach, onError, retry, timeouts };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== null));
}

export interface Call {
  readonly name: 'addNode' | 'updateNode' | 'removeNode' | 'connectNodes' | 'disconnectNodes' | 'moveNodes' | 'updateWorkflow';
  readonly input: JsonObject;
}

/** Return the mutation that makes an edit. */
export function callOf(workflowId: string, expectedRevision: number, edit: Edit): Call {
  const based = { workflowId, expectedRevision };
  switch (edit.type) {
    case 'add':
      return { name: 'addNode', input: { ...based, node: nodeInput(edit.node) } };
    case 'update':
      return { name: 'updateNode', input: { ...based, key: edit.key, ...afterOf(edit.changes) } };
    case 'rename':
      return { name: 'updateNode', input: { ...based, key: edit.key, newKey: edit.newKey } };
    case 'remove':
      return { name: 'removeNode', input: { ...based, key: edit.key } };
    case 'connect':
      return { name: 'connectNodes', input: { ...based, ...edit.edge } };
    case 'disconnect':
      return { name: 'disconnectNodes', input: { ...based, ...edit.edge } };
    case 'move': {
      const positions = Object.entries(edit.positions).map(([key, { x, y }]) => ({ key, x, y }));
      return { name: 'moveNodes', input: { workflowId, positions } };
    }
    case 'configure':
      return { name: 'updateWorkflow', input: { id: workflowId, expectedRevision, ...afterOf(edit.changes) } };
  }
}

function afterOf(changes: { readonly [field: string]: { readonly after: JsonObject[string] } | undefined }): JsonObject {
  return Object.fromEntries(Object.entries(changes).flatMap(([field, change]) => (change ? [[field, change.after]] : [])));
}

/** Return what the server has against an edit, each with the place that a form can show it at. */
export function errorsOf(errors: readonly ProblemFragment[]): readonly EditError[] {
  return errors.flatMap((error): readonly EditError[] => {
    if (error.__typename === 'GraphProblemsError') {
      return error.problems.map(({ message, code, nodeKey, path, hint }) => ({ message, code, nodeKey, path, hint }));
    }
    const path = error.path?.[0] === 'input' ? error.path.slice(1) : (error.path ?? []);
    return [{ message: error.message, code: error.code, nodeKey: null, path, hint: null }];
  });
}
