/** What went wrong, in one sentence. */

import { CombinedGraphQLErrors, ServerError } from "@apollo/client";
import { SocketClosed } from "./socket.ts";

/** What this program itself has to say. */
export class Fault extends Error {}

/** Say what the person can do about it. */
export function explain(error: unknown, url: string): string {
  if (error instanceof Fault) return error.message;
  if (isUnauthenticated(error)) return "The server does not know this token: is ANABRANCH_TOKEN right, and not revoked or expired?";
  if (CombinedGraphQLErrors.is(error)) return error.errors.map(({ message, extensions }) => `${message} (${extensions?.["code"]})`).join(" ");
  if (ServerError.is(error)) return `${url} does not answer as Anabranch does (HTTP ${error.statusCode}).`;
  return `No answer from ${url} (${reasonOf(error)}): is the server running, and ANABRANCH_URL right?`;
}

function isUnauthenticated(error: unknown): boolean {
  if (error instanceof SocketClosed) return error.code === 4403;
  return CombinedGraphQLErrors.is(error) && error.errors.some(({ extensions }) => extensions?.["code"] === "UNAUTHENTICATED");
}

/** `fetch` keeps the reason in what caused its error. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  return cause instanceof Error ? ("code" in cause ? String(cause.code) : cause.message) : error.message;
}
