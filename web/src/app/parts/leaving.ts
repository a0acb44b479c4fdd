/** Asks before a page is left that would lose something; the pages say what, the router and the frame ask. */

import type { AroundNavHandler } from 'wouter';

type Ask = (question: string) => boolean;

interface Held {
  readonly reason: string;
  /** The path that is held. */
  readonly at: string;
}

export class Leaving {
  readonly #held = new Set<Held>();

  constructor(private readonly ask: Ask) {}

  /** Hold a page for a reason, until what is given back is called. */
  readonly hold = (reason: string, at: string): (() => void) => {
    const held = { reason, at };
    this.#held.add(held);
    return () => void this.#held.delete(held);
  };

  /** Whether the page may be left: nothing holds it, or the person gives that up. */
  readonly isAllowed = (): boolean => {
    const reasons = [...this.#held].map(({ reason }) => reason);
    return reasons.length === 0 || this.ask(`${reasons.join(' ')} Leave all the same?`);
  };

  /** For the router: go only where the page may be left. */
  readonly around: AroundNavHandler = (navigate, to, options) => {
    if (this.isAllowed()) navigate(to, options);
  };

  /** The browser tells of going back when it has gone: return the path where who stays has to be put, null to let them go. */
  readonly pathToStayAt = (path: string): string | null => {
    const [held] = this.#held;
    return held && held.at !== path && !this.isAllowed() ? held.at : null;
  };
}

export const leaving = new Leaving((question) => window.confirm(question));

/** Hear of going back before the router does, which would show the other page: call this before anything is shown. */
export function guardHistory(): void {
  window.addEventListener('popstate', (event) => {
    const path = leaving.pathToStayAt(window.location.pathname);
    if (path === null) return;
    event.stopImmediatePropagation();
    window.history.pushState(null, '', path);
  });
}
