/** Internal type. DO NOT USE DIRECTLY. */
type Exact<T extends { [key: string]: unknown }> = { [K in keyof T]: T[K] };
/** Internal type. DO NOT USE DIRECTLY. */
export type Incremental<T> = T | { [P in keyof T]?: P extends ' $fragmentName' | '__typename' ? T[P] : never };
import type { TypedDocumentNode as DocumentNode } from '@graphql-typed-document-node/core';
/** Where a run is in its life. */
export type RunStatus =
  /** Ended because someone stopped it. */
  | 'CANCELED'
  /** Asked to stop; nodes in flight are being stopped. */
  | 'CANCELING'
  /** Ended because it lost its process too many times. */
  | 'CRASHED'
  /** Ended because its work failed. */
  | 'FAILED'
  /** Stopped by a person for a while; nodes in flight end, none starts. */
  | 'PAUSED'
  /** Waits for its turn. */
  | 'QUEUED'
  /** Nodes are at work. */
  | 'RUNNING'
  /** Ended well. */
  | 'SUCCEEDED'
  /** Nothing works; a time, an answer or a sub-run is awaited. */
  | 'WAITING';

/** Stable codes of user errors. */
export type UserErrorCode =
  /** The name, slug or e-mail address is taken. */
  | 'ALREADY_EXISTS'
  /** The workspace's budget is spent. */
  | 'BUDGET_EXHAUSTED'
  /** The object changed since it was read, or its state does not allow this any more. */
  | 'CONFLICT'
  /** The caller's role or key may not do this. */
  | 'FORBIDDEN'
  /** The graph has problems of severity ERROR. */
  | 'GRAPH_PROBLEMS'
  /** Unknown account or wrong password; the two are told alike. */
  | 'INVALID_CREDENTIALS'
  /** A value is not acceptable; `path` says which. */
  | 'INVALID_INPUT'
  /** An invitation, set-up or refresh token is unknown, used or expired. */
  | 'INVALID_TOKEN'
  /** Something still uses the object. */
  | 'IN_USE'
  /** A limit would be exceeded. */
  | 'LIMIT_EXCEEDED'
  /** No such object, or it belongs to someone else; the two are told alike. */
  | 'NOT_FOUND'
  /** What an earlier run recorded is no longer kept. */
  | 'OUTPUT_EXPIRED'
  /** Too many attempts; wait before the next. */
  | 'RATE_LIMITED'
  /** An outside endpoint did not answer as it should. */
  | 'UPSTREAM_FAILED'
  /** The caller has several workspaces and named none. */
  | 'WORKSPACE_REQUIRED';

type Problem_ConflictError_Fragment = { code: UserErrorCode, message: string, path: Array<string> | null };

type Problem_DocumentProblemsError_Fragment = { code: UserErrorCode, message: string, path: Array<string> | null };

type Problem_ForbiddenError_Fragment = { code: UserErrorCode, message: string, path: Array<string> | null };

type Problem_GraphProblemsError_Fragment = { code: UserErrorCode, message: string, path: Array<string> | null, problems: Array<{ nodeKey: string | null, message: string }> };

type Problem_InvalidInputError_Fragment = { code: UserErrorCode, message: string, path: Array<string> | null };

type Problem_LimitError_Fragment = { code: UserErrorCode, message: string, path: Array<string> | null };

type Problem_NotFoundError_Fragment = { code: UserErrorCode, message: string, path: Array<string> | null };

export type ProblemFragment =
  | Problem_ConflictError_Fragment
  | Problem_DocumentProblemsError_Fragment
  | Problem_ForbiddenError_Fragment
  | Problem_GraphProblemsError_Fragment
  | Problem_InvalidInputError_Fragment
  | Problem_LimitError_Fragment
  | Problem_NotFoundError_Fragment
;

export type SaveWorkflowMutationVariables = Exact<{
  document: string;
}>;


export type SaveWorkflowMutation = { importWorkflow: { workflow: { id: string, name: string, revision: number } | null, userErrors: Array<
      | { code: UserErrorCode, message: string, path: Array<string> | null }
      | { code: UserErrorCode, message: string, path: Array<string> | null }
      | { code: UserErrorCode, message: string, path: Array<string> | null }
      | { code: UserErrorCode, message: string, path: Array<string> | null, problems: Array<{ nodeKey: string | null, message: string }> }
      | { code: UserErrorCode, message: string, path: Array<string> | null }
      | { code: UserErrorCode, message: string, path: Array<string> | null }
      | { code: UserErrorCode, message: string, path: Array<string> | null }
    > } };

export type StartRunMutationVariables = Exact<{
  workflowId: string | number;
  input?: unknown;
  key: string;
}>;


export type StartRunMutation = { startRun: { run: { id: string, status: RunStatus } | null, userErrors: Array<
      | { code: UserErrorCode, message: string, path: Array<string> | null }
      | { code: UserErrorCode, message: string, path: Array<string> | null }
      | { code: UserErrorCode, message: string, path: Array<string> | null }
      | { code: UserErrorCode, message: string, path: Array<string> | null, problems: Array<{ nodeKey: string | null, message: string }> }
      | { code: UserErrorCode, message: string, path: Array<string> | null }
      | { code: UserErrorCode, message: string, path: Array<string> | null }
      | { code: UserErrorCode, message: string, path: Array<string> | null }
    > } };

export type RunEventsSubscriptionVariables = Exact<{
  runId: string | number;
  after?: string | null | undefined;
}>;


export type RunEventsSubscription = { runEvents:
    | { __typename: 'ApprovalAnswered', nodeKey: string, seq: number, cursor: string }
    | { __typename: 'ApprovalRequested', nodeKey: string, seq: number, cursor: string }
    | { __typename: 'NodeCanceled', nodeKey: string, seq: number, cursor: string }
    | { __typename: 'NodeExpanded', nodeKey: string, seq: number, cursor: string }
    | { __typename: 'NodeFailed', nodeKey: string, seq: number, cursor: string }
    | { __typename: 'NodeOutputDelta', nodeKey: string, text: string, seq: number, cursor: string }
    | { __typename: 'NodeProgressed', nodeKey: string, seq: number, cursor: string }
    | { __typename: 'NodeRetrying', nodeKey: string, seq: number, cursor: string }
    | { __typename: 'NodeReused', nodeKey: string, seq: number, cursor: string }
    | { __typename: 'NodeSkipped', nodeKey: string, seq: number, cursor: string }
    | { __typename: 'NodeStarted', nodeKey: string, seq: number, cursor: string }
    | { __typename: 'NodeSucceeded', nodeKey: string, seq: number, cursor: string }
    | { __typename: 'NodeWaiting', nodeKey: string, seq: number, cursor: string }
    | { __typename: 'RunCancelRequested', seq: number, cursor: string }
    | { __typename: 'RunCanceled', seq: number, cursor: string }
    | { __typename: 'RunCrashed', seq: number, cursor: string }
    | { __typename: 'RunFailed', seq: number, cursor: string }
    | { __typename: 'RunPaused', seq: number, cursor: string }
    | { __typename: 'RunQueued', seq: number, cursor: string }
    | { __typename: 'RunRecovered', seq: number, cursor: string }
    | { __typename: 'RunResumed', seq: number, cursor: string }
    | { __typename: 'RunStarted', seq: number, cursor: string }
    | { __typename: 'RunSucceeded', seq: number, cursor: string }
    | { __typename: 'RunWaiting', seq: number, cursor: string }
   };

export type ReadRunQueryVariables = Exact<{
  id: string | number;
}>;


export type ReadRunQuery = { run: { id: string, status: RunStatus, output: unknown, error: { code: string, message: string, nodeKey: string | null } | null, usage: { totalTokens: number } } | null };

export const ProblemFragmentDoc = {"kind":"Document","definitions":[{"kind":"FragmentDefinition","name":{"kind":"Name","value":"Problem"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"UserError"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"code"}},{"kind":"Field","name":{"kind":"Name","value":"message"}},{"kind":"Field","name":{"kind":"Name","value":"path"}},{"kind":"InlineFragment","typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"GraphProblemsError"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"problems"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"nodeKey"}},{"kind":"Field","name":{"kind":"Name","value":"message"}}]}}]}}]}}]} as unknown as DocumentNode<ProblemFragment, unknown>;
export const SaveWorkflowDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"mutation","name":{"kind":"Name","value":"SaveWorkflow"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"document"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"String"}}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"importWorkflow"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"input"},"value":{"kind":"ObjectValue","fields":[{"kind":"ObjectField","name":{"kind":"Name","value":"document"},"value":{"kind":"Variable","name":{"kind":"Name","value":"document"}}},{"kind":"ObjectField","name":{"kind":"Name","value":"mode"},"value":{"kind":"EnumValue","value":"UPSERT"}}]}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"workflow"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"name"}},{"kind":"Field","name":{"kind":"Name","value":"revision"}}]}},{"kind":"Field","name":{"kind":"Name","value":"userErrors"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"Problem"}}]}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"Problem"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"UserError"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"code"}},{"kind":"Field","name":{"kind":"Name","value":"message"}},{"kind":"Field","name":{"kind":"Name","value":"path"}},{"kind":"InlineFragment","typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"GraphProblemsError"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"problems"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"nodeKey"}},{"kind":"Field","name":{"kind":"Name","value":"message"}}]}}]}}]}}]} as unknown as DocumentNode<SaveWorkflowMutation, SaveWorkflowMutationVariables>;
export const StartRunDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"mutation","name":{"kind":"Name","value":"StartRun"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"workflowId"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"ID"}}}},{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"input"}},"type":{"kind":"NamedType","name":{"kind":"Name","value":"JSON"}}},{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"key"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"String"}}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"startRun"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"input"},"value":{"kind":"ObjectValue","fields":[{"kind":"ObjectField","name":{"kind":"Name","value":"workflowId"},"value":{"kind":"Variable","name":{"kind":"Name","value":"workflowId"}}},{"kind":"ObjectField","name":{"kind":"Name","value":"input"},"value":{"kind":"Variable","name":{"kind":"Name","value":"input"}}},{"kind":"ObjectField","name":{"kind":"Name","value":"idempotencyKey"},"value":{"kind":"Variable","name":{"kind":"Name","value":"key"}}},{"kind":"ObjectField","name":{"kind":"Name","value":"useDraft"},"value":{"kind":"BooleanValue","value":true}}]}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"run"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"status"}}]}},{"kind":"Field","name":{"kind":"Name","value":"userErrors"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"Problem"}}]}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"Problem"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"UserError"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"code"}},{"kind":"Field","name":{"kind":"Name","value":"message"}},{"kind":"Field","name":{"kind":"Name","value":"path"}},{"kind":"InlineFragment","typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"GraphProblemsError"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"problems"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"nodeKey"}},{"kind":"Field","name":{"kind":"Name","value":"message"}}]}}]}}]}}]} as unknown as DocumentNode<StartRunMutation, StartRunMutationVariables>;
export const RunEventsDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"subscription","name":{"kind":"Name","value":"RunEvents"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"runId"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"ID"}}}},{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"after"}},"type":{"kind":"NamedType","name":{"kind":"Name","value":"String"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"runEvents"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"runId"},"value":{"kind":"Variable","name":{"kind":"Name","value":"runId"}}},{"kind":"Argument","name":{"kind":"Name","value":"after"},"value":{"kind":"Variable","name":{"kind":"Name","value":"after"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"__typename"}},{"kind":"Field","name":{"kind":"Name","value":"seq"}},{"kind":"Field","name":{"kind":"Name","value":"cursor"}},{"kind":"InlineFragment","typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"NodeEvent"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"nodeKey"}}]}},{"kind":"InlineFragment","typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"NodeOutputDelta"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"text"}}]}}]}}]}}]} as unknown as DocumentNode<RunEventsSubscription, RunEventsSubscriptionVariables>;
export const ReadRunDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"query","name":{"kind":"Name","value":"ReadRun"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"id"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"ID"}}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"run"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"id"},"value":{"kind":"Variable","name":{"kind":"Name","value":"id"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"status"}},{"kind":"Field","name":{"kind":"Name","value":"output"}},{"kind":"Field","name":{"kind":"Name","value":"error"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"code"}},{"kind":"Field","name":{"kind":"Name","value":"message"}},{"kind":"Field","name":{"kind":"Name","value":"nodeKey"}}]}},{"kind":"Field","name":{"kind":"Name","value":"usage"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"totalTokens"}}]}}]}}]}}]} as unknown as DocumentNode<ReadRunQuery, ReadRunQueryVariables>;