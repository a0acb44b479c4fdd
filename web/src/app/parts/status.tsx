/** What a state looks like: a colour, a sign and a word, never the colour alone. */

import type { ReactElement } from 'react';
import type { NodeRunStatus, RunStatus } from '../generated/graphql';

export type Status = RunStatus | NodeRunStatus;
export type Tone = 'pending' | 'running' | 'waiting' | 'succeeded' | 'failed' | 'canceled' | 'reused';

interface Look {
  readonly word: string;
  readonly tone: Tone;
  readonly sign: Sign;
}

type Sign = 'ring' | 'arc' | 'clock' | 'pause' | 'check' | 'cross' | 'stop' | 'skip' | 'again' | 'copy' | 'bolt';

const LOOKS: Record<Status, Look> = {
  PENDING: { word: 'Pending', tone: 'pending', sign: 'ring' },
  QUEUED: { word: 'Queued', tone: 'pending', sign: 'ring' },
  RUNNING: { word: 'Running', tone: 'running', sign: 'arc' },
  RETRYING: { word: 'Retrying', tone: 'waiting', sign: 'again' },
  WAITING: { word: 'Waiting', tone: 'waiting', sign: 'clock' },
  PAUSED: { word: 'Paused', tone: 'waiting', sign: 'pause' },
  CANCELING: { word: 'Canceling', tone: 'canceled', sign: 'arc' },
  SUCCEEDED: { word: 'Succeeded', tone: 'succeeded', sign: 'check' },
  FAILED: { word: 'Failed', tone: 'failed', sign: 'cross' },
  CRASHED: { word: 'Crashed', tone: 'failed', sign: 'bolt' },
  CANCELED: { word: 'Canceled', tone: 'canceled', sign: 'stop' },
  SKIPPED: { word: 'Skipped', tone: 'canceled', sign: 'skip' },
  REUSED: { word: 'Reused', tone: 'reused', sign: 'copy' },
};

const SIGNS: Record<Sign, ReactElement> = {
  ring: <circle cx="8" cy="8" r="5.5" strokeDasharray="2.4 2.2" />,
  arc: <path d="M8 2.5a5.5 5.5 0 1 1-5.5 5.5" />,
  clock: <path d="M8 2.5a5.5 5.5 0 1 1 0 11a5.5 5.5 0 0 1 0-11M8 5v3l2 1.5" />,
  pause: <path d="M6 4v8M10 4v8" />,
  check: <path d="m3.5 8.5 3 3 6-7" />,
  cross: <path d="m4.5 4.5 7 7m0-7-7 7" />,
  stop: <path d="M8 2.5a5.5 5.5 0 1 1 0 11a5.5 5.5 0 0 1 0-11M4.2 11.8l7.6-7.6" />,
  skip: <path d="M3 8h7M7.5 5l3 3-3 3M13 4v8" />,
  again: <path d="M12.8 6.5A5.2 5.2 0 1 0 13 9.5M13 3v3.5H9.5" />,
  copy: <path d="M3 6h6v7H3zM6 6V3h7v7H9" />,
  bolt: <path d="M9 2 4 9h4l-1 5 5-7H8z" />,
};

export function lookOf(status: Status): Look {
  // A newer server may know states that this page does not.
  return LOOKS[status] ?? { word: status, tone: 'pending', sign: 'ring' };
}

export function StatusSign({ status, size = 14 }: { readonly status: Status; readonly size?: number }) {
  const { sign } = lookOf(status);
  return (
    <svg
      width={size}
      height={size}
      viewBox="0 0 16 16"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.8"
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
      className={sign === 'arc' ? 'turning' : undefined}
    >
      {SIGNS[sign]}
    </svg>
  );
}

export function StatusBadge({ status }: { readonly status: Status }) {
  const { word, tone } = lookOf(status);
  return (
    <span className={`badge tone-${tone}`} data-status={status}>
      <StatusSign status={status} size={12} />
      {word}
    </span>
  );
}
