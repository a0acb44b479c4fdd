/** Times and lengths of time as people read them. */

import { useSyncExternalStore } from 'react';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Write a length of time: `12 ms`, `3.4 s`, `2 min 5 s`, `1 h 4 min`, `2 d 23 h`. */
export function formatDuration(ms: number): string {
  if (ms < SECOND) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < 59_950) return `${(ms / SECOND).toFixed(1)} s`;
  const seconds = Math.round(ms / SECOND);
  if (ms < HOUR) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  const minutes = Math.round(ms / MINUTE);
  if (minutes < 2_880) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  const hours = Math.round(ms / HOUR);
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** Write what is left until an instant: whole seconds, `any moment` when it has come. */
export function formatLeft(until: number, now: number): string {
  const seconds = Math.ceil((until - now) / SECOND);
  if (seconds <= 0) return 'any moment';
  return seconds < 60 ? `${seconds} s` : formatDuration(seconds * SECOND);
}

/** Write an instant as briefly as it is clear today: the time, of another day the date too. */
export function formatInstant(at: Date, now: Date): string {
  const time = at.toLocaleTimeString(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit' });
  return at.toDateString() === now.toDateString() ? time : `${at.toLocaleDateString(undefined, { day: 'numeric', month: 'short', year: 'numeric' })}, ${time}`;
}

const relative = new Intl.RelativeTimeFormat('en', { numeric: 'auto' });
const STEPS: readonly (readonly [number, Intl.RelativeTimeFormatUnit])[] = [
  [DAY, 'day'],
  [HOUR, 'hour'],
  [MINUTE, 'minute'],
];

/** Write how long ago an instant was: `just now`, `5 minutes ago`, `yesterday`. */
export function formatAgo(at: number, now: number): string {
  for (const [length, unit] of STEPS) {
    if (Math.abs(now - at) >= length) return relative.format(Math.round((at - now) / length), unit);
  }
  return 'just now';
}

interface Clock {
  now: number;
  timer: ReturnType<typeof setInterval> | undefined;
  readonly listeners: Set<() => void>;
}

const clocks = new Map<number, Clock>();

function clockOf(everyMs: number): Clock {
  const known = clocks.get(everyMs);
  if (known) return known;
  const made: Clock = { now: Date.now(), timer: undefined, listeners: new Set() };
  clocks.set(everyMs, made);
  return made;
}

/** The time now, for all who ask with the same pace by one timer; it stands still while `isRunning` is false. */
export function useNow(everyMs: number, isRunning = true): number {
  const clock = clockOf(everyMs);
  return useSyncExternalStore(
    (listener) => {
      if (!isRunning) return () => undefined;
      if (clock.listeners.size === 0) {
        clock.timer = setInterval(() => {
          clock.now = Date.now();
          for (const each of clock.listeners) each();
        }, everyMs);
      }
      clock.listeners.add(listener);
      return () => {
        clock.listeners.delete(listener);
        if (clock.listeners.size === 0) clearInterval(clock.timer);
      };
    },
    () => clock.now,
  );
}

export function Ago({ at }: { readonly at: string }) {
  const now = useNow(15_000);
  return (
    <time dateTime={at} title={new Date(at).toLocaleString()}>
      {formatAgo(Date.parse(at), now)}
    </time>
  );
}

/** How long something has taken, or takes so far. */
export function Elapsed({ from, until }: { readonly from: string; readonly until: string | null }) {
  const now = useNow(200, until === null);
  return <span>{formatDuration(Math.max(0, (until === null ? now : Date.parse(until)) - Date.parse(from)))}</span>;
}

/** How long until an instant. */
export function Left({ until }: { readonly until: string }) {
  const now = useNow(1_000);
  return (
    <time dateTime={until} title={new Date(until).toLocaleString()}>
      {formatLeft(Date.parse(until), now)}
    </time>
  );
}

/** An instant to come, and how long until then. */
export function Instant({ at }: { readonly at: string }) {
  const now = useNow(1_000);
  const isPast = Date.parse(at) <= now;
  return (
    <time dateTime={at} title={new Date(at).toLocaleString()}>
      {formatInstant(new Date(at), new Date(now))} {isPast ? '(any moment)' : `(in ${formatLeft(Date.parse(at), now)})`}
    </time>
  );
}
