/** Opens a run and follows it: the snapshot first, then the log behind it, over whatever connections it takes. */

import { type CombinedError, stringifyDocument } from '@urql/core';
import { useCallback, useEffect, useState } from 'react';
import type { Api } from '../../api/client';
import { useApi } from '../../api/context';
import { isPassing } from '../../api/refusals';
import { delayOf } from '../../api/socket';
import { FollowRunDocument, type FollowRunSubscription, ReadLogDocument, type ReadLogQuery } from '../../generated/graphql';
import { follow, type Link, Refused } from './follow';
import { openRun } from './open-run';
import { RunStore } from './run-store';
import { isFinished, openView, type OpenedRun, type RunEvent, withHistory } from './run-view';

/** Beyond so many pages of the log, the first attempts are left out of the timeline. */
const MOST_PAGES = 60;

export type RunState =
  | { readonly state: 'loading' }
  | { readonly state: 'missing' }
  | { readonly state: 'unreachable'; readonly error: CombinedError }
  | { readonly state: 'open'; readonly run: OpenedRun; readonly store: RunStore };

export interface FollowedRun {
  readonly opened: RunState;
  readonly link: Link;
  readonly reopen: () => void;
}

export function useRun(id: string): FollowedRun {
  const api = useApi();
  const [opened, setOpened] = useState<RunState>({ state: 'loading' });
  const [link, setLink] = useState<Link>({ state: 'connecting' });
  const [epoch, setEpoch] = useState(0);
  const reopen = useCallback(() => setEpoch((last) => last + 1), []);
  useEffect(() => {
    const leaving = new AbortController();
    void watch({ api, id, signal: leaving.signal, setOpened, setLink, reopen });
    return () => leaving.abort();
  }, [api, id, epoch, reopen]);
  return { opened, link, reopen };
}

interface Watch {
  readonly api: Api;
  readonly id: string;
  readonly signal: AbortSignal;
  readonly setOpened: (state: RunState) => void;
  readonly setLink: (link: Link) => void;
  readonly reopen: () => void;
}

async function watch({ api, id, signal, setOpened, setLink, reopen }: Watch): Promise<void> {
  const { run, error } = await openRun(api.client, id);
  if (signal.aborted) return;
  if (error) return setOpened({ state: 'unreachable', error });
  if (!run) return setOpened({ state: 'missing' });
  // A gap in the stream is mended by the next snapshot.
  const store = new RunStore(openView(run), () => !signal.aborted && reopen());
  setOpened({ state: 'open', run, store });
  const isRetried = run.snapshot.nodes.some(({ attempt }) => attempt > 1);
  if (isRetried) void readHistory(api, run, signal).then((log) => store.change((view) => withHistory(view, log)));
  if (isFinished(store.snapshot())) return setLink({ state: 'complete' });
  await follow({
    cursor: run.snapshot.cursor,
    subscribe: (after, _, onOpen) => subscribe(api, id, after, signal, onOpen),
    onEvent: store.push,
    onLink: setLink,
    pause,
    delay: delayOf,
    signal,
  }).catch((fault: unknown) => {
    if (!(fault instanceof Refused)) throw fault;
  });
}

async function* subscribe(api: Api, id: string, after: string, signal: AbortSignal, onOpen: () => void): AsyncGenerator<RunEvent> {
  const socket = api.openStream(onOpen);
  const close = () => void socket.dispose();
  signal.addEventListener('abort', close);
  try {
    const query = stringifyDocument(FollowRunDocument);
    for await (const { data, errors } of socket.iterate<FollowRunSubscription>({ query, variables: { id, after } })) {
      if (errors?.length) throw errors;
      if (data) yield data.runEvents;
    }
  } catch (fault) {
    if (codeOf(fault) === 'UNAUTHENTICATED') await api.renew();
    throw refusalIn(fault) ?? fault;
  } finally {
    signal.removeEventListener('abort', close);
    close();
  }
}

interface Told {
  readonly message: string;
  readonly extensions?: { readonly code?: unknown };
}

/** The code of the first error that the server answered with; null where the connection broke. */
function codeOf(fault: unknown): unknown {
  return Array.isArray(fault) ? ((fault as readonly Told[])[0]?.extensions?.code ?? 'UNKNOWN') : null;
}

/** Tell an answer of the server, which would be the same again, from a connection that broke. */
function refusalIn(fault: unknown): Refused | null {
  if (!Array.isArray(fault) || isPassing(codeOf(fault))) return null;
  return new Refused((fault as readonly Told[]).map(({ message }) => message).join(' '));
}

type LogPage = NonNullable<ReadLogQuery['run']>['events'];

async function readPage(api: Api, id: string, after: string | null): Promise<LogPage | undefined> {
  const { data } = await api.client.query(ReadLogDocument, { id, after }, { requestPolicy: 'network-only' }).toPromise();
  return data?.run?.events;
}

async function readHistory(api: Api, run: OpenedRun, signal: AbortSignal): Promise<readonly RunEvent[]> {
  const log: RunEvent[] = [];
  let after: string | null = null;
  for (let page = 0; page < MOST_PAGES && !signal.aborted; page++) {
    const events = await readPage(api, run.id, after);
    if (!events) break;
    for (const event of events.nodes) {
      log.push(event);
      // Behind the snapshot the events come by the stream.
      if (event.cursor === run.snapshot.cursor) return log;
    }
    if (!events.pageInfo.hasNextPage) break;
    after = events.pageInfo.endCursor;
  }
  return log;
}

/** Wait, but not longer than until the network is back. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      window.removeEventListener('online', end);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    window.addEventListener('online', end);
    signal.addEventListener('abort', end);
  });
}
