/** Start a run, follow its events, read what it returned. */

import { commitMutation, type Environment, fetchQuery, requestSubscription } from "relay-runtime";
import eventsSubscription, { type runEventsSubscription } from "./__generated__/runEventsSubscription.graphql";
import resultQuery, { type runResultQuery } from "./__generated__/runResultQuery.graphql";
import startMutation, { type runStartMutation } from "./__generated__/runStartMutation.graphql";
import { graphql } from "./graphql";
import { refuse } from "./workflow";

graphql`
  mutation runStartMutation($input: StartRunInput!) {
    startRun(input: $input) {
      run { id }
      userErrors { code message path }
    }
  }
`;

graphql`
  subscription runEventsSubscription($runId: ID!, $after: String) {
    runEvents(runId: $runId, after: $after) {
      __typename
      cursor
      seq
      ... on NodeEvent { nodeKey }
      ... on NodeOutputDelta { text }
    }
  }
`;

graphql`
  query runResultQuery($id: ID!) {
    run(id: $id) { status output error { code message nodeKey } }
  }
`;

export type RunEvent = runEventsSubscription["response"]["runEvents"];

export async function start(environment: Environment, workflowId: string, input: unknown): Promise<string> {
  const { startRun } = await new Promise<runStartMutation["response"]>((resolve, reject) => {
    commitMutation<runStartMutation>(environment, {
      mutation: startMutation,
      variables: { input: { workflowId, input } },
      onCompleted: (response, errors) => (errors?.[0] ? reject(new Error(errors[0].message)) : resolve(response)),
      onError: reject,
    });
  });
  refuse(startRun.userErrors);
  if (!startRun.run) throw new Error("The server gave no run.");
  return startRun.run.id;
}

/** Calls `show` for each event of a run, once and in order; ends with the run. */
export function follow(environment: Environment, runId: string, show: (event: RunEvent) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    requestSubscription<runEventsSubscription>(environment, {
      subscription: eventsSubscription,
      variables: { runId, after: null },
      onNext: (data) => data && show(data.runEvents),
      onCompleted: resolve,
      onError: reject,
    });
  });
}

export async function read(environment: Environment, id: string) {
  const data = await fetchQuery<runResultQuery>(environment, resultQuery, { id }).toPromise();
  if (!data?.run) throw new Error(`There is no run ${id}.`);
  return data.run;
}
