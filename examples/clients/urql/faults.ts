/** What went wrong, in one sentence. */

import { CombinedError } from "@urql/core";
import { SocketClosed } from "./socket.ts";

/** What this program itself has to say. */
export class Fault extends Error {}

/** Say what the person can do about it. */
export function explain(error: unknown, url: string): string {
  if (error instanceof Fault) return error.message;
  if (!(error instanceof CombinedError)) return String(error);
  if (isUnauthenticated(error)) return "The server does not know this token: is ANABRANCH_TOKEN right, and not revoked or expired?";
  if (!error.networkError) return error.graphQLErrors.map(({ message, extensions }) => `${message} (${extensions?.["code"]})`).join(" ");
  const { status } = (error.response ?? {}) as Partial<Response>;
  if (status) return `${url} does not answer as Anabranch does (HTTP ${status}).`;
  return `No answer from ${url} (${reasonOf(error.networkError)}): is the server running, and ANABRANCH_URL right?`;
}

function isUnauthenticated({ networkError, graphQLErrors }: CombinedError): boolean {
  if (networkError instanceof SocketClosed) return networkError.code === 4403;
  return graphQLErrors.some(({ extensions }) => extensions?.["code"] === "UNAUTHENTICATED");
}

/** `fetch` keeps the reason in what caused its error. */
function reasonOf({ cause, message }: Error): string {
  return cause instanceof Error ? ("code" in cause ? String(cause.code) : cause.message) : message;
}
