/** What an operation is, told from its text: GraphiQL's own knowledge of it lags behind for a moment after each change. */

import { Kind, type OperationDefinitionNode, OperationTypeNode, parse } from 'graphql';

export interface Operation {
  readonly name: string | null;
  readonly isSubscription: boolean;
}

/** Choose the operation of a document: the only one, else the one of this name. What does not parse is the server's to explain. */
export function operationOf(query: string, name: string | null): Operation {
  const operations = operationsIn(query);
  const chosen = operations.length === 1 ? operations[0] : operations.find((operation) => operation.name?.value === name);
  if (!chosen) return { name, isSubscription: false };
  return { name: chosen.name?.value ?? null, isSubscription: chosen.operation === OperationTypeNode.SUBSCRIPTION };
}

function operationsIn(query: string): OperationDefinitionNode[] {
  try {
    return parse(query).definitions.filter((definition) => definition.kind === Kind.OPERATION_DEFINITION);
  } catch {
    return [];
  }
}
