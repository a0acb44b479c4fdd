/** Short messages: toasts that are seen, and a live region that is heard. */

import { createContext, type ReactNode, useCallback, useContext, useMemo, useRef, useState } from 'react';
import type { Tone } from './status';

interface Announcer {
  /** Show and say something for a few seconds; failures stay until they are closed. */
  readonly toast: (text: string, tone?: Tone) => void;
  /** Say something to screen readers only. */
  readonly say: (text: string) => void;
}

interface Toast {
  readonly id: number;
  readonly text: string;
  readonly tone: Tone;
}

const STAYS_MS = 5_000;
const Context = createContext<Announcer>({ toast: () => undefined, say: () => undefined });

export function useAnnouncer(): Announcer {
  return useContext(Context);
}

export function Announcements({ children }: { readonly children: ReactNode }) {
  const [toasts, setToasts] = useState<readonly Toast[]>([]);
  const [said, setSaid] = useState('');
  const last = useRef(0);
  const close = useCallback((id: number) => setToasts((shown) => shown.filter((toast) => toast.id !== id)), []);
  const announcer = useMemo<Announcer>(
    () => ({
      say: setSaid,
      toast: (text, tone = 'succeeded') => {
        const id = ++last.current;
        setToasts((shown) => [...shown.slice(-3), { id, text, tone }]);
        if (tone !== 'failed') setTimeout(() => close(id), STAYS_MS);
      },
    }),
    [close],
  );
  return (
    <Context.Provider value={announcer}>
      {children}
      <p className="visually-hidden" role="status" aria-label="Announcements">
        {said}
      </p>
      <div className="toasts" role="region" aria-label="Messages" aria-live="polite">
        {toasts.map(({ id, text, tone }) => (
          <div key={id} className={`toast tone-${tone}`}>
            <span>{text}</span>
            <button type="button" className="button quiet compact" aria-label="Close message" onClick={() => close(id)}>
              ✕
            </button>
          </div>
        ))}
      </div>
    </Context.Provider>
  );
}
