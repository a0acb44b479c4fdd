/** The normalised cache: one entry for each object, whichever query brought it. */

import { type FieldReadFunction, InMemoryCache } from "@apollo/client";
import possible from "./generated/possible-types.ts";

/** Find an object that is asked for by its id where other queries, mutations and lists have left it. */
const byId =
  (type: string): FieldReadFunction =>
  (existing, { args, toReference }) =>
    // What the server said wins: null stands for an object that is not there.
    existing === undefined ? toReference({ __typename: type, id: args?.["id"] }) : existing;

export function makeCache(): InMemoryCache {
  return new InMemoryCache({
    // Without these, fields below `... on NodeEvent` or `... on Node` are dropped without a word.
    possibleTypes: possible.possibleTypes,
    // Nothing to say about keys: Apollo's own, type and id, are right for all that has an id.
    typePolicies: {
      Query: {
        fields: {
          approval: byId("Approval"),
          run: byId("Run"),
          workflow: byId("Workflow"),
          workspace: byId("Workspace"),
        },
      },
    },
  });
}
