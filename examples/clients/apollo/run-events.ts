/** Following a run's log across connections that break: no event is lost, none comes twice. */

import { type ApolloClient, CombinedGraphQLErrors } from "@apollo/client";
import { defer, map, type Observable, retry, tap, throwError, timer } from "rxjs";
import { RunEventsDocument, type RunEventsSubscription } from "./generated/operations.ts";
import { SocketClosed } from "./socket.ts";

export type RunEvent = RunEventsSubscription["runEvents"];

/** Tries in a row that bring no event, before the error is passed on: about a minute. */
const MOST_TRIES = 12;
/** Errors of the server that are otherwise the next time. */
const PASSING: ReadonlySet<unknown> = new Set(["INTERNAL_SERVER_ERROR", "SERVICE_UNAVAILABLE", "TIMEOUT"]);

/** Give the events behind the cursor `after` (all, if it is null), and complete after the run's last one. */
export function runEvents(client: ApolloClient, runId: string, after: string | null = null): Observable<RunEvent> {
  return defer(() => {
    let cursor = after;
    // `defer` again: each try subscribes anew, behind the last event that came.
    return defer(() =>
      client.subscribe({
        query: RunEventsDocument,
        variables: { runId, after: cursor },
        // Events have no id, and a log of tokens is nothing to keep.
        fetchPolicy: "no-cache",
      }),
    ).pipe(
      map(({ data, error }) => {
        // Apollo hands errors over as results, which would end the stream as if the run were over.
        if (!data) throw error ?? new Error("The server sent no event.");
        return data.runEvents;
      }),
      tap((event) => {
        cursor = event.cursor;
      }),
      retry({
        count: MOST_TRIES,
        resetOnSuccess: true,
        delay: (error, tries) => (isPassing(error) ? timer(pauseMs(tries)) : throwError(() => error)),
      }),
    );
  });
}

function isPassing(error: unknown): boolean {
  if (error instanceof SocketClosed) return !error.isFinal;
  return CombinedGraphQLErrors.is(error) && error.errors.every(({ extensions }) => PASSING.has(extensions?.["code"]));
}

/** Growing, and varied so that many clients do not come back at one moment. */
function pauseMs(tries: number): number {
  return Math.min(10_000, 100 * 2 ** tries) * (0.5 + Math.random() / 2);
}
