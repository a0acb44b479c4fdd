/** The tabs that GraphiQL opens with; `@workflow` and `@run` in variables stand for what this tab made last. */

import clock from './examples/1-clock.graphql?raw';
import createWorkflow from './examples/2-create-workflow.graphql?raw';
import startRun from './examples/3-start-run.graphql?raw';
import followRun from './examples/4-follow-run.graphql?raw';
import latestRuns from './examples/5-latest-runs.graphql?raw';

const WORKFLOW = '@workflow';
const RUN = '@run';

export const EXAMPLES: readonly { readonly query: string; readonly variables?: Record<string, unknown> }[] = [
  { query: clock },
  { query: createWorkflow },
  { query: startRun, variables: { workflowId: WORKFLOW, input: { name: 'Ada' } } },
  { query: followRun, variables: { runId: RUN, after: null } },
  { query: latestRuns },
];

export const TABS = EXAMPLES.map(({ query, variables }) => ({
  query,
  variables: variables ? JSON.stringify(variables, null, 2) : null,
}));

const made = new Map<string, string>();

/** Note the ids of what an answer says was made. */
export function remember(answer: unknown): void {
  const data = (answer as { data?: Record<string, Record<string, { id?: unknown } | null> | null> | null }).data;
  note(WORKFLOW, data?.['createWorkflow']?.['workflow']?.id);
  note(RUN, data?.['startRun']?.['run']?.id);
}

function note(placeholder: string, id: unknown): void {
  if (typeof id === 'string') made.set(placeholder, id);
}

/** Put the noted ids in the place of `@workflow` and `@run`; throws where nothing was made yet. */
export function fill(variables: unknown): unknown {
  if (!variables || typeof variables !== 'object') return variables;
  return Object.fromEntries(Object.entries(variables).map(([name, value]) => [name, filled(name, value)]));
}

function filled(name: string, value: unknown): unknown {
  if (value !== WORKFLOW && value !== RUN) return value;
  const id = made.get(value);
  if (id) return id;
  const what = value === WORKFLOW ? 'create a workflow' : 'start a run';
  throw new Error(`“${value}” is what this page made last: ${what} in its tab first, or put an id in “${name}”.`);
}
