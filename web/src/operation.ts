/** What an operation is, told from its text: GraphiQL's own knowledge of it lags behind for a moment after each change. */

import { type DocumentNode, Kind, type OperationDefinitionNode, OperationTypeNode, parse, separateOperations } from 'graphql';

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
    return operationsOf(parse(query));
  } catch {
    return [];
  }
}

function operationsOf(document: DocumentNode): OperationDefinitionNode[] {
  return document.definitions.filter((definition) => definition.kind === Kind.OPERATION_DEFINITION);
}

export interface Chosen {
  readonly operation: OperationDefinitionNode;
  /** The operation and the fragments that it needs. */
  readonly document: DocumentNode;
}

/**
 * Choose the operation at a place of a document, else the one of this name, else the first. Throws what is wrong with a text
 * that does not parse or has none.
 */
export function operationAt(query: string, offset: number, name: string | null): Chosen {
  const document = parse(query);
  const operations = operationsOf(document);
  const chosen =
    operations.find(({ loc }) => loc && loc.start <= offset && offset <= loc.end) ??
    operations.find((operation) => operation.name?.value === name) ??
    operations[0];
  if (!chosen) throw new Error('There is no operation in this tab.');
  const needed = separateOperations(document)[chosen.name?.value ?? ''];
  return { operation: chosen, document: needed ?? document };
}
