/** A connection: the workflow's runs, page by page, joined in Relay's store as `usePaginationFragment` would show them. */

import {
  createOperationDescriptor,
  type Environment,
  fetchQuery,
  getFragment,
  getRequest,
  getSingularSelector,
} from "relay-runtime";
import listQuery, { type runsListQuery } from "./__generated__/runsListQuery.graphql";
import pageQuery, { type runsPageQuery } from "./__generated__/runsPageQuery.graphql";
import listFragment, { type runs_workflow$data } from "./__generated__/runs_workflow.graphql";
import { graphql } from "./graphql";

graphql`
  fragment runs_workflow on Workflow
  @refetchable(queryName: "runsPageQuery")
  @argumentDefinitions(count: { type: "Int", defaultValue: 2 }, cursor: { type: "String" }) {
    runs(first: $count, after: $cursor) @connection(key: "runs_workflow_runs") {
      edges { node { id status } }
      pageInfo { hasNextPage endCursor }
    }
  }
`;

graphql`
  query runsListQuery($id: ID!) {
    workflow(id: $id) { ...runs_workflow }
  }
`;

/** Reads the newest runs of a workflow, at most `pages` pages of `count`. */
export async function list(environment: Environment, id: string, count: number, pages: number) {
  const data = await fetchQuery<runsListQuery>(environment, listQuery, { id }).toPromise();
  // What is retained is not collected as garbage; a component would see to that.
  const retained = environment.retain(createOperationDescriptor(getRequest(listQuery), { id }));
  try {
    const selector = getSingularSelector(getFragment(listFragment), data?.workflow);
    const seen = () => (environment.lookup(selector).data as unknown as runs_workflow$data).runs;
    for (let page = 1; page < pages && seen().pageInfo.hasNextPage; page += 1) {
      // The compiler made this query of the fragment: `node(id:)` leads back to the workflow.
      const variables = { id, count, cursor: seen().pageInfo.endCursor };
      await fetchQuery<runsPageQuery>(environment, pageQuery, variables).toPromise();
    }
    return seen().edges.map(({ node }) => node);
  } finally {
    retained.dispose();
  }
}
