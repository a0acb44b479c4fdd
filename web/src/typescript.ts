/** An operation as a program in TypeScript that stands alone. */

import { type GraphQLSchema, OperationTypeNode } from 'graphql';
import { type Request, type Resumption, resumptionOf } from './request';
import { typesOf } from './result-types';

const UNTYPED = 'type Variables = Record<string, unknown>;\n\ntype Data = Record<string, unknown>;';

/** Write a program that sends the request; without a schema its types are `unknown`. */
export function typescriptOf(request: Request, endpoint: string, schema: GraphQLSchema | null): string {
  const isStream = request.operation.operation === OperationTypeNode.SUBSCRIPTION;
  const name = request.operation.name?.value ?? 'operation';
  const file = `${name.replace(/(?<=[a-z0-9])[A-Z]/g, '-$&').toLowerCase()}.mts`;
  return [
    ...(isStream ? ['// npm install graphql graphql-ws'] : []),
    `// ANABRANCH_TOKEN=… node ${file}     (Node.js 24 or newer)`,
    ...(isStream ? ["import { createClient } from 'graphql-ws';", ''] : ['']),
    'declare const process: { env: Record<string, string | undefined> };',
    '',
    schema ? typesOf(request, schema) : UNTYPED,
    '',
    `const endpoint = ${JSON.stringify(endpoint)};`,
    "const token = process.env['ANABRANCH_TOKEN'];",
    "if (!token) throw new Error('Set ANABRANCH_TOKEN to an API key.');",
    '',
    `const query = \`\n${literal(request.query)}\n\`;`,
    '',
    `const variables: Variables = ${JSON.stringify(request.variables, null, 2)};`,
    '',
    isStream ? streaming(request, schema ? resumptionOf(request) : null) : asking(request),
    // A module, whatever is in it.
    ...(isStream ? [''] : ['', 'export {};', '']),
  ].join('\n');
}

/** The text between backticks. */
function literal(text: string): string {
  return text.replace(/[\\`]|\$\{/g, '\\$&');
}

function asking({ headers }: Request): string {
  const more = headers.map(([name, value]) => `    ${JSON.stringify(name)}: ${JSON.stringify(value)},\n`).join('');
  return `const response = await fetch(endpoint, {
  method: 'POST',
  headers: {
    authorization: \`Bearer \${token}\`,
    'content-type': 'application/json',
${more}  },
  body: JSON.stringify({ query, variables }),
  signal: AbortSignal.timeout(30_000),
});
const answer = (await response.json()) as { data?: Data | null; errors?: Array<{ message: string }> };
if (answer.errors) throw new Error(answer.errors.map(({ message }) => message).join('\\n'));

console.log(JSON.stringify(answer.data, null, 2));`;
}

const CLIENT = `const client = createClient({
  url: endpoint.replace(/^http/, 'ws'),
  connectionParams: { authorization: \`Bearer \${token}\` },
  retryAttempts: 0,
});
`;

function streaming(_: Request, resumption: Resumption | null): string {
  return `${CLIENT}\n${resumption ? resuming(resumption) : FOLLOWING}\n\nawait client.dispose();`;
}

const FOLLOWING = `for await (const { data, errors } of client.iterate<Data>({ query, variables })) {
  if (errors) throw new Error(errors.map(({ message }) => message).join('\\n'));
  console.log(JSON.stringify(data));
}`;

function resuming({ variable, field }: Resumption): string {
  return `/** A refusal is the same the next time; everything else is a break of the connection, a timeout (4408) too. */
function isRefusal(error: unknown): boolean {
  const code = typeof error === 'object' && error !== null && 'code' in error ? Number(error.code) : 0;
  return error instanceof Error || Array.isArray(error) || (code >= 4400 && code < 4500 && code !== 4408);
}

let pauseMs = 1000;
for (;;) {
  try {
    for await (const { data, errors } of client.iterate<Data>({ query, variables })) {
      if (errors) throw new Error(errors.map(({ message }) => message).join('\\n'));
      if (!data) continue;
      console.log(JSON.stringify(data));
      // After a break it goes on behind this event: nothing is lost, nothing comes twice.
      variables.${variable} = data.${field}.cursor;
      pauseMs = 1000;
    }
    break;
  } catch (error) {
    if (isRefusal(error)) throw error instanceof Error ? error : new Error(JSON.stringify(error));
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
    pauseMs = Math.min(2 * pauseMs, 30_000);
  }
}`;
}
