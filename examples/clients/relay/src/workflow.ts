/** A mutation: make the workflow, or change the one with the same slug. */

import { commitMutation, type Environment } from "relay-runtime";
import importMutation, { type workflowImportMutation } from "./__generated__/workflowImportMutation.graphql";
import { graphql } from "./graphql";

graphql`
  mutation workflowImportMutation($input: ImportWorkflowInput!) {
    importWorkflow(input: $input) {
      workflow { id slug revision }
      isCreated
      userErrors {
        code
        message
        path
        ... on GraphProblemsError { problems { message nodeKey } }
      }
    }
  }
`;

export async function upsert(environment: Environment, document: string) {
  const { importWorkflow: made } = await new Promise<workflowImportMutation["response"]>((resolve, reject) => {
    commitMutation<workflowImportMutation>(environment, {
      mutation: importMutation,
      variables: { input: { document, mode: "UPSERT" } },
      onCompleted: (response, errors) => (errors?.[0] ? reject(new Error(errors[0].message)) : resolve(response)),
      onError: reject,
    });
  });
  refuse(made.userErrors);
  if (!made.workflow) throw new Error("The server gave no workflow.");
  return made.workflow;
}

interface UserError {
  readonly code: string;
  readonly message: string;
  readonly path?: readonly string[] | null;
  readonly problems?: readonly { readonly message: string; readonly nodeKey?: string | null }[];
}

/** Throws what the caller may do better: these are data of the answer, not errors of GraphQL. */
export function refuse(errors: readonly UserError[]): void {
  if (errors.length === 0) return;
  const told = errors.map(({ code, message, path, problems = [] }) => {
    const details = problems.map((one) => `\n  ${one.nodeKey ?? "graph"}: ${one.message}`).join("");
    return `${code}${path ? ` at ${path.join(".")}` : ""}: ${message}${details}`;
  });
  throw new Error(told.join("\n"));
}
