/** The normalised cache: one entry for each object, whichever query brought it. */

import { type FieldReadFunction, InMemoryCache } from "@apollo/client";
import possible from "./generated/possible-types.ts";

/** The types of what has an id, by the prefix of the id: `run_01jd4v…` is a Run. */
const TYPES: Readonly<Record<string, string>> = { run: "Run", wf: "Workflow", ws: "Workspace" };

/** Find an object that is asked for by its id where other queries left it. */
const byId: FieldReadFunction = (existing, { args, toReference }) => {
  const id: unknown = args?.["id"];
  const type = typeof id === "string" ? TYPES[id.split("_")[0] ?? ""] : undefined;
  // What the server said wins: null stands for an object that is not there.
  return existing === undefined && type ? toReference({ __typename: type, id: id as string }) : existing;
};

export function makeCache(): InMemoryCache {
  return new InMemoryCache({
    // Without these, fields below `... on NodeEvent` or `... on Node` are dropped without a word.
    possibleTypes: possible.possibleTypes,
    // Ids are unique across all types and never change, so `Type:id` is right for all that have one.
    typePolicies: { Query: { fields: { node: byId, run: byId, workflow: byId, workspace: byId } } },
  });
}
