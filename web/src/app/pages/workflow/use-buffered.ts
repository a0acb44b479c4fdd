/** What a person types, until it is an edit. */

import { useCallback, useEffect, useId, useRef, useState, useSyncExternalStore } from 'react';

const TYPED_MS = 500;

/** The fields that hold something back, for those who tell what is saved. */
const holding = new Set<string>();
const listeners = new Set<() => void>();

function hold(id: string, isHeld: boolean): void {
  if (isHeld === holding.has(id)) return;
  if (isHeld) holding.add(id);
  else holding.delete(id);
  for (const listener of listeners) listener();
}

/** Whether something is typed that is no edit yet. */
export function useIsTyping(): boolean {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => holding.size > 0,
  );
}

interface Buffer<Value> {
  /** What the field showed when typing began: the edit says what it was based on. */
  readonly basis: Value;
  readonly mine: Value;
}

/**
 * Hold a value while it is typed, and commit it when the typing pauses or the field is left.
 *
 * `stored` is what the draft has; `shown` is what the field shows while nothing is typed, which differs
 * from it after the server refused a value.
 */
export function useBuffered<Value>(stored: Value, shown: Value, commit: (basis: Value, mine: Value) => void) {
  const [buffer, setBuffer] = useState<Buffer<Value> | null>(null);
  const id = useId();
  const latest = useRef({ buffer, commit });
  latest.current = { buffer, commit };
  const flush = useCallback(() => {
    const { buffer: waiting, commit: send } = latest.current;
    if (!waiting) return;
    latest.current = { ...latest.current, buffer: null };
    setBuffer(null);
    send(waiting.basis, waiting.mine);
    hold(id, false);
  }, [id]);
  useEffect(() => {
    if (!buffer) return undefined;
    const timer = setTimeout(flush, TYPED_MS);
    return () => clearTimeout(timer);
  }, [buffer, flush]);
  // Leaving the panel, or the page, is leaving the field.
  useEffect(() => flush, [flush]);
  const set = useCallback(
    (mine: Value) => {
      hold(id, true);
      setBuffer((now) => ({ basis: now?.basis ?? stored, mine }));
    },
    [id, stored],
  );
  return { value: buffer ? buffer.mine : shown, set, flush };
}
