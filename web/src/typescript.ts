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
  connectionAckWaitTimeout: 10_000,
  keepAlive: 10_000,
});

// A network that is gone says nothing by itself: a socket that answers no ping is given up.
let silence: ReturnType<typeof setTimeout> | undefined;
client.on('ping', (isReceived) => {
  if (!isReceived) silence = setTimeout(() => client.terminate(), 5_000);
});
client.on('pong', (isReceived) => {
  if (isReceived) clearTimeout(silence);
});
client.on('closed', () => clearTimeout(silence));

/** What ends a subscription is the server's list of errors, or an event of the socket, which says nothing when it is thrown. */
function told(error: unknown): Error {
  if (error instanceof Error) return error;
  if (Array.isArray(error)) return new Error(error.map(({ message }) => message).join('\\n'));
  const { code = 1006, reason = '' } = error as { code?: number; reason?: string };
  return new Error(\`The socket was closed: \${code} \${reason}\`);
}
`;

function streaming(_: Request, resumption: Resumption | null): string {
  return `${CLIENT}\n${resumption ? resuming(resumption) : FOLLOWING}\n\nawait client.dispose();`;
}

const FOLLOWING = `try {
  for await (const { data, errors } of client.iterate<Data>({ query, variables })) {
    if (errors) throw errors;
    console.log(JSON.stringify(data));
  }
} catch (error) {
  throw told(error);
}`;

function resuming({ variable, field }: Resumption): string {
  return `/** These are the same the next time; everything else is a break of the connection, or passes. */
const FINAL = [4400, 4401, 4403, 4406, 4409, 4429];
const PASSING = ['SERVICE_UNAVAILABLE', 'TIMEOUT', 'INTERNAL_SERVER_ERROR'];
function isRefusal(error: unknown): boolean {
  if (Array.isArray(error)) return !error.every(({ extensions }) => PASSING.includes(extensions?.code));
  const code = typeof error === 'object' && error !== null && 'code' in error ? Number(error.code) : 0;
  return FINAL.includes(code) || (error instanceof Error && code === 0);
}

let pauseMs = 1000;
for (;;) {
  try {
    for await (const { data, errors } of client.iterate<Data>({ query, variables })) {
      if (errors) throw errors;
      if (!data) continue;
      console.log(JSON.stringify(data));
      // After a break it goes on behind this event: nothing is lost, nothing comes twice.
      variables.${variable} = data.${field}.cursor;
      pauseMs = 1000;
    }
    break;
  } catch (error) {
    if (isRefusal(error)) throw told(error);
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
    pauseMs = Math.min(2 * pauseMs, 30_000);
  }
}`;
}
