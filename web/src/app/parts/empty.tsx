/** What is shown where nothing is yet: what it would be, and what to do. */

import type { ReactNode } from 'react';

export function Empty({ title, children }: { readonly title: string; readonly children?: ReactNode }) {
  return (
    <div className="empty">
      <h2>{title}</h2>
      {children}
    </div>
  );
}

export function Loading({ what, lines = 3 }: { readonly what: string; readonly lines?: number }) {
  return (
    <div role="status" aria-label={`Loading ${what}`} style={{ display: 'grid', gap: 10, padding: 16 }}>
      {Array.from({ length: lines }, (_, index) => (
        <div key={index} className="skeleton" style={{ width: `${90 - 13 * (index % 4)}%` }} />
      ))}
    </div>
  );
}
