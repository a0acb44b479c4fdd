/**
 * The tabs that GraphiQL opens with, on what its user has. `@workflow`, `@run` and `@collection` in variables stand for what
 * this page made last: they are for whoever has none yet.
 */

import { isObject, type Json } from './app/editor/json';
import { startingValue } from './app/forms/starting';
import type { Scope } from './app/generated/graphiql/graphql';
import addDocuments from './examples/add-documents.graphql?raw';
import clock from './examples/clock.graphql?raw';
import createCollection from './examples/create-collection.graphql?raw';
import createWorkflow from './examples/create-workflow.graphql?raw';
import makeKey from './examples/make-key.graphql?raw';
import myWorkflows from './examples/my-workflows.graphql?raw';
import runSnapshot from './examples/run-snapshot.graphql?raw';
import searchCollection from './examples/search-collection.graphql?raw';
import server from './examples/server.graphql?raw';
import startRun from './examples/start-run.graphql?raw';
import tableRows from './examples/table-rows.graphql?raw';
import watchRun from './examples/watch-run.graphql?raw';
import whoAmI from './examples/who-am-i.graphql?raw';

const WORKFLOW = '@workflow';
const RUN = '@run';
const COLLECTION = '@collection';
const KEY_LASTS_MS = 30 * 24 * 60 * 60 * 1000;

/** What a workspace has that the tabs can be about; null where it has none. */
export interface Holdings {
  readonly workspaceId: string;
  /** What the user may do there. */
  readonly may: readonly Scope[];
  /** The newest workflow that can run. */
  readonly workflow: { readonly id: string; readonly inputSchema: Json; readonly lastInput: Json } | null;
  readonly newestRunId: string | null;
  readonly unfinishedRunId: string | null;
  readonly collectionId: string | null;
  readonly tableId: string | null;
}

export interface Example {
  readonly query: string;
  readonly variables?: Readonly<Record<string, unknown>>;
}

/** The examples for whoever has this; null for who is not signed in, or has no workspace: those need nothing. */
export function examplesFor(holdings: Holdings | null, now: number = Date.now()): readonly Example[] {
  if (!holdings) return [{ query: clock }, { query: server }, { query: whoAmI }];
  const { workspaceId, tableId } = holdings;
  return [
    { query: whoAmI },
    { query: myWorkflows, variables: { workspaceId } },
    ...runExamples(holdings),
    ...collectionExamples(holdings),
    ...when(tableId, { query: tableRows, variables: { tableId } }),
    ...when(holdings.may.includes('ADMIN'), {
      query: makeKey,
      variables: {
        workspaceId,
        name: 'From GraphiQL',
        scopes: ['READ', 'EXECUTE'],
        expiresAt: new Date(now + KEY_LASTS_MS).toISOString(),
      },
    }),
  ];
}

function when(isSo: unknown, ...examples: Example[]): Example[] {
  return isSo ? examples : [];
}

function runExamples({ workspaceId, may, workflow, newestRunId, unfinishedRunId }: Holdings): Example[] {
  const mayMake = workflow === null && may.includes('WRITE');
  const mayStart = may.includes('EXECUTE') && (workflow !== null || mayMake);
  const runId = newestRunId ?? RUN;
  const hint = newestRunId ? '' : '# There is no run yet: execute StartRun first.\n# "@run" stands for what this page started last.\n';
  const start = { workflowId: workflow?.id ?? WORKFLOW, input: workflow ? inputFor(workflow) : { name: 'Ada' } };
  return [
    ...when(mayMake, { query: createWorkflow, variables: { workspaceId, name: 'Greeting' } }),
    ...when(mayStart, { query: startRun, variables: start }),
    ...when(
      newestRunId ?? mayStart,
      { query: hint + watchRun, variables: { runId: unfinishedRunId ?? runId, after: null } },
      { query: hint + runSnapshot, variables: { runId } },
    ),
  ];
}

function collectionExamples({ workspaceId, may, collectionId }: Holdings): Example[] {
  const search = { collectionId: collectionId ?? COLLECTION, text: 'Where do rivers split?' };
  const documents = [
    { externalId: 'delta', text: 'A river splits where its bed is flat and it carries more than it can hold.' },
    { externalId: 'bread', text: 'Bread is baked from flour, water and yeast.' },
  ];
  const mayMake = collectionId === null && may.includes('WRITE');
  return [
    ...when(
      mayMake,
      { query: createCollection, variables: { workspaceId, name: 'Notes' } },
      { query: addDocuments, variables: { collectionId: COLLECTION, documents } },
    ),
    ...when(collectionId ?? mayMake, { query: searchCollection, variables: search }),
  ];
}

/** What the workflow's last run was given, else the least that it takes. */
function inputFor({ inputSchema, lastInput }: NonNullable<Holdings['workflow']>): Json {
  if (lastInput !== null) return lastInput;
  return isObject(inputSchema) ? startingValue(inputSchema, inputSchema, 0, 'Ada') : {};
}

const MAKING: Readonly<Record<string, string>> = {
  [WORKFLOW]: 'CreateWorkflow',
  [RUN]: 'StartRun',
  [COLLECTION]: 'CreateCollection',
};
const made = new Map<string, string>();

/** Forget what was made: somebody else is signed in. */
export function forget(): void {
  made.clear();
}

/** Note the ids of what an answer says was made. */
export function remember(answer: unknown): void {
  const data = (answer as { data?: Record<string, Record<string, { id?: unknown } | null> | null> | null }).data;
  note(WORKFLOW, data?.['createWorkflow']?.['workflow']?.id);
  note(RUN, data?.['startRun']?.['run']?.id);
  note(COLLECTION, data?.['createCollection']?.['collection']?.id);
}

function note(placeholder: string, id: unknown): void {
  if (typeof id === 'string') made.set(placeholder, id);
}

/** Put the noted ids in the place of `@workflow` and its kind; throws where nothing was made yet. */
export function fill<Variables>(variables: Variables): Variables {
  if (!variables || typeof variables !== 'object') return variables;
  return Object.fromEntries(Object.entries(variables).map(([name, value]) => [name, filled(name, value)])) as Variables;
}

function filled(name: string, value: unknown): unknown {
  const tab = typeof value === 'string' ? MAKING[value] : undefined;
  if (tab === undefined) return value;
  const id = made.get(value as string);
  if (id) return id;
  throw new Error(`“${value}” is what was made last on this page: execute the tab ${tab} first, or put an id in “${name}”.`);
}
