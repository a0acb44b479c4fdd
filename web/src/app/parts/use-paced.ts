/** Work that follows a value which may change very often. */

import { useEffect, useRef } from 'react';

/** Call `work` after `sign` has changed: at once, but not more often than every `everyMs`; the last change is never left out. */
export function usePaced(sign: string | number, everyMs: number, work: () => void): void {
  const [known, last, timer] = [useRef(sign), useRef(0), useRef<ReturnType<typeof setTimeout>>(undefined)];
  const newest = useRef(work);
  newest.current = work;
  useEffect(() => {
    if (known.current === sign) return;
    known.current = sign;
    if (timer.current !== undefined) return;
    const wait = Math.max(0, last.current + everyMs - performance.now());
    timer.current = setTimeout(() => {
      timer.current = undefined;
      last.current = performance.now();
      newest.current();
    }, wait);
  }, [sign, everyMs]);
  useEffect(
    () => () => {
      clearTimeout(timer.current);
      timer.current = undefined;
    },
    [],
  );
}
