/** The editor's server: the mutations of the API, by the pages' client. */

import type { Client, OperationResult } from '@urql/core';
import { isRefused } from '../api/refusals';
import {
  AddNodeDocument,
  ConnectNodesDocument,
  DisconnectNodesDocument,
  type DraftFieldsFragment,
  MoveNodesDocument,
  OpenWorkflowDocument,
  type ProblemFragment,
  RemoveNodeDocument,
  UpdateNodeDocument,
  UpdateWorkflowDocument,
} from '../generated/graphql';
import { tellError } from '../parts/errors';
import { type Call, callOf, draftOf, errorsOf } from './convert';
import type { Answer, EditorApi } from './sync';

const DOCUMENTS = {
  addNode: AddNodeDocument,
  updateNode: UpdateNodeDocument,
  removeNode: RemoveNodeDocument,
  connectNodes: ConnectNodesDocument,
  disconnectNodes: DisconnectNodesDocument,
  moveNodes: MoveNodesDocument,
  updateWorkflow: UpdateWorkflowDocument,
} as const;

interface Payload {
  readonly workflow: DraftFieldsFragment | null;
  readonly userErrors: readonly ProblemFragment[];
}

export function editorApi(client: Client, workflowId: string): EditorApi {
  return {
    send: async (edit, expectedRevision) => {
      const call = callOf(workflowId, expectedRevision, edit);
      const { data, error } = await mutate(client, call);
      const payload = data?.[call.name];
      if (payload) return answerOf(payload);
      if (!error || !isRefused(error)) throw new Error(error ? tellError(error) : 'The server gave no answer.');
      return { type: 'refused', errors: [{ message: tellError(error), code: 'INVALID_INPUT', nodeKey: null, path: [], hint: null }] };
    },
    fetch: async () => {
      const { data, error } = await client.query(OpenWorkflowDocument, { id: workflowId }, { requestPolicy: 'network-only' }).toPromise();
      if (data?.workflow) return draftOf(data.workflow);
      throw new Error(error ? tellError(error) : 'The workflow is gone.');
    },
  };
}

function mutate(client: Client, { name, input }: Call): Promise<OperationResult<{ readonly [name: string]: Payload }>> {
  // Inputs are JSON here, since changes of JSON merge; the server checks them against its types.
  return client.mutation(DOCUMENTS[name] as never, { input } as never).toPromise();
}

function answerOf({ workflow, userErrors }: Payload): Answer {
  const conflict = userErrors.find((error) => error.__typename === 'ConflictError' && error.currentRevision !== null);
  if (conflict?.__typename === 'ConflictError') return { type: 'overtaken', by: conflict.changedBy?.name ?? null };
  if (userErrors.length > 0 || !workflow) return { type: 'refused', errors: errorsOf(userErrors) };
  return { type: 'saved', draft: draftOf(workflow) };
}
