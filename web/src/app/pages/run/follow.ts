/** Following a run's log across broken connections: each attempt goes on behind the last event that came. */

import type { RunEvent } from './run-view';

export type Link =
  | { readonly state: 'connecting' }
  | { readonly state: 'live' }
  | { readonly state: 'complete' }
  | { readonly state: 'reconnecting'; readonly tries: number; readonly nextTryAt: number }
  | { readonly state: 'failed'; readonly message: string };

/** A stream of one subscription; it tells when it is open, ends when the log has ended, and throws when the connection breaks. */
export type Subscribe = (after: string, signal: AbortSignal, onOpen: () => void) => AsyncIterable<RunEvent>;

/** What the server answered instead of events: trying again would bring the same. */
export class Refused extends Error {}

interface FollowOptions {
  readonly cursor: string;
  readonly subscribe: Subscribe;
  readonly onEvent: (event: RunEvent) => void;
  readonly onLink: (link: Link) => void;
  /** Wait before another try; gives early when there is reason to hope. */
  readonly pause: (ms: number, signal: AbortSignal) => Promise<void>;
  readonly delay: (tries: number) => number;
  readonly signal: AbortSignal;
  readonly now?: () => number;
}

/** Follow to the end of the log; gives the last cursor, rejects with `Refused` where the server refuses. */
export async function follow(options: FollowOptions): Promise<string> {
  const { subscribe, onEvent, onLink, pause, delay, signal, now = Date.now } = options;
  let { cursor } = options;
  let tries = 0;
  onLink({ state: 'connecting' });
  while (!signal.aborted) {
    try {
      for await (const event of subscribe(cursor, signal, () => onLink({ state: 'live' }))) {
        if (signal.aborted) return cursor;
        // Only what comes is progress: a server that opens and breaks at once is not asked ever faster.
        tries = 0;
        onEvent(event);
        cursor = event.cursor;
      }
      onLink({ state: 'complete' });
      return cursor;
    } catch (error) {
      if (signal.aborted) return cursor;
      if (error instanceof Refused) {
        onLink({ state: 'failed', message: error.message });
        throw error;
      }
      const ms = delay(tries);
      tries += 1;
      onLink({ state: 'reconnecting', tries, nextTryAt: now() + ms });
      await pause(ms, signal);
    }
  }
  return cursor;
}
