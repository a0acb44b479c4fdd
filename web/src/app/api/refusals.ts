/** What the codes of errors mean: an answer that would be the same again, or an outage that passes. */

import type { CombinedError } from '@urql/core';

const REFUSING: ReadonlySet<unknown> = new Set([
  'BAD_USER_INPUT',
  'GRAPHQL_VALIDATION_FAILED',
  'GRAPHQL_PARSE_FAILED',
  'BAD_REQUEST',
  'LIMIT_EXCEEDED',
  'PAYLOAD_TOO_LARGE',
  'FORBIDDEN',
]);

const PASSING: ReadonlySet<unknown> = new Set(['UNAUTHENTICATED', 'INTERNAL_SERVER_ERROR', 'SERVICE_UNAVAILABLE', 'TIMEOUT']);

/** Tell whether the server refused what was sent, so that sending it again is in vain; a code that is not known may pass. */
export function isRefused(error: CombinedError): boolean {
  return error.graphQLErrors.some(({ extensions }) => REFUSING.has(extensions?.['code']));
}

/** Tell whether an error that ended a stream may be otherwise the next time; a code that is not known may not. */
export function isPassing(code: unknown): boolean {
  return PASSING.has(code);
}

/** Tell whether the server knows nobody who asks. */
export function isUnauthenticated(error: CombinedError): boolean {
  return error.graphQLErrors.some(({ extensions }) => extensions?.['code'] === 'UNAUTHENTICATED');
}
