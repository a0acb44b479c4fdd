/** The operation that GraphiQL's editors show, as a request that other programs can send. */

import { type DocumentNode, type FieldNode, Kind, type OperationDefinitionNode, print } from 'graphql';
import { operationAt } from './operation';

/** What our own text sets: a token never goes along. */
const OURS: ReadonlySet<string> = new Set(['authorization', 'proxy-authorization', 'cookie', 'content-type', 'accept', 'content-length', 'host']);

export interface Request {
  readonly operation: OperationDefinitionNode;
  /** The operation with the fragments that it needs. */
  readonly document: DocumentNode;
  readonly query: string;
  /** Those that the operation declares. */
  readonly variables: Readonly<Record<string, unknown>>;
  readonly headers: readonly (readonly [name: string, value: string])[];
}

export interface Shown {
  readonly query: string;
  /** Where the cursor is in `query`. */
  readonly offset: number;
  /** The operation that was executed last. */
  readonly operationName: string | null;
  readonly variables: Readonly<Record<string, unknown>>;
  readonly headers: Readonly<Record<string, unknown>>;
}

/** Make the request of the operation at the cursor; throws what is wrong with its text. */
export function requestOf({ query, offset, operationName, variables, headers }: Shown): Request {
  const { operation, document } = operationAt(query, offset, operationName);
  const declared = (operation.variableDefinitions ?? []).map(({ variable }) => variable.name.value);
  return {
    operation,
    document,
    query: print(document),
    variables: Object.fromEntries(declared.filter((name) => name in variables).map((name) => [name, variables[name]])),
    headers: Object.entries(headers).flatMap(([name, value]) => (OURS.has(name.toLowerCase()) ? [] : [[name, String(value)]])),
  };
}

/** How a subscription is resumed: the variable that takes the cursor, and the root field whose results have it. */
export interface Resumption {
  readonly variable: string;
  readonly field: string;
}

/** Tell how to resume a subscription; null where it does not ask for cursors, or begins at none. */
export function resumptionOf({ operation }: Request): Resumption | null {
  const root = operation.selectionSet.selections.find((selection): selection is FieldNode => selection.kind === Kind.FIELD);
  const after = root?.arguments?.find(({ name }) => name.value === 'after')?.value;
  const asksCursor = root?.selectionSet?.selections.some(
    (selection) => selection.kind === Kind.FIELD && (selection.alias ?? selection.name).value === 'cursor',
  );
  if (!root || after?.kind !== Kind.VARIABLE || !asksCursor) return null;
  return { variable: after.name.value, field: (root.alias ?? root.name).value };
}
