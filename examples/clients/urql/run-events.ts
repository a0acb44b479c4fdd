/** Following a run's log across connections that break: no event is lost, none comes twice. */

import { setTimeout as pause } from "node:timers/promises";
import { type Client, CombinedError } from "@urql/core";
import { toAsyncIterable } from "wonka";
import { RunEventsDocument, type RunEventsSubscription } from "./generated/operations.ts";
import { SocketClosed } from "./socket.ts";

export type RunEvent = RunEventsSubscription["runEvents"];

/** Tries in a row that bring no event, before the error is thrown: about a minute. */
const MOST_TRIES = 12;
/** Errors of the server that are otherwise the next time. */
const PASSING: ReadonlySet<unknown> = new Set(["INTERNAL_SERVER_ERROR", "SERVICE_UNAVAILABLE", "TIMEOUT"]);

/** Give the events behind the cursor `after` (all, if it is null), and end after the run's last one. */
export async function* runEvents(client: Client, runId: string, after: string | null = null): AsyncGenerator<RunEvent> {
  let cursor = after;
  for (let tries = 1; ; tries += 1) {
    try {
      for await (const event of eventsOfOneSocket(client, runId, cursor)) {
        tries = 0;
        cursor = event.cursor;
        yield event;
      }
      return;
    } catch (error) {
      if (!isPassing(error) || tries >= MOST_TRIES) throw error;
      await pause(pauseMs(tries));
    }
  }
}

async function* eventsOfOneSocket(client: Client, runId: string, after: string | null): AsyncGenerator<RunEvent> {
  for await (const { data, error, hasNext } of toAsyncIterable(client.subscription(RunEventsDocument, { runId, after }))) {
    if (error) throw error;
    // At the end urql gives the last result once more, without a next one.
    if (data && hasNext) yield data.runEvents;
  }
}

function isPassing(error: unknown): boolean {
  if (!(error instanceof CombinedError)) return false;
  const { networkError, graphQLErrors } = error;
  if (networkError) return networkError instanceof SocketClosed && !networkError.isFinal;
  return graphQLErrors.every(({ extensions }) => PASSING.has(extensions?.["code"]));
}

/** Growing, and varied so that many clients do not come back at one moment. */
function pauseMs(tries: number): number {
  return Math.min(10_000, 100 * 2 ** tries) * (0.5 + Math.random() / 2);
}
