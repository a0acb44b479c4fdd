/** An operation as a command for bash. */

import { OperationTypeNode } from 'graphql';
import type { Request } from './request';

/** Write a command that sends the request; the token is what `ANABRANCH_TOKEN` holds. */
export function curlOf({ operation, query, variables, headers }: Request, endpoint: string): string {
  const isStream = operation.operation === OperationTypeNode.SUBSCRIPTION;
  const body = Object.keys(variables).length > 0 ? { query, variables } : { query };
  return [
    `curl ${isStream ? '-N' : '-sS'} ${quoted(endpoint)}`,
    '-H "Authorization: Bearer $ANABRANCH_TOKEN"',
    "-H 'Content-Type: application/json'",
    ...(isStream ? ["-H 'Accept: text/event-stream'"] : []),
    ...headers.map(([name, value]) => `-H ${quoted(`${name}: ${value}`)}`),
    // JSON has no line break of its own: a shell that reads line by line gets it whole.
    `--data-raw ${quoted(JSON.stringify(body))}`,
  ].join(' \\\n  ');
}

/** Between single quotes bash takes everything as it is, but for the single quote. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
