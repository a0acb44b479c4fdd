/** What a kind of node is called, and its sign. */

import type { ReactElement } from 'react';

interface Kind {
  readonly title: string;
  readonly sign: ReactElement;
}

const KINDS: Readonly<Record<string, Kind>> = {
  LLM_CALL: { title: 'Language model', sign: <path d="M3 3h10v7H7l-3 3v-3H3z" /> },
  HTTP_REQUEST: { title: 'HTTP request', sign: <path d="M8 2.5a5.5 5.5 0 1 1 0 11 5.5 5.5 0 0 1 0-11M2.5 8h11M8 2.5c-3 3-3 8 0 11 3-3 3-8 0-11" /> },
  FAISS_SEARCH: { title: 'Search', sign: <path d="M7 3a4 4 0 1 1 0 8 4 4 0 0 1 0-8m3 7 3 3" /> },
  FAISS_UPSERT: { title: 'Learn documents', sign: <path d="M3 3h10v10H3zM8 5.5v5M5.5 8h5" /> },
  DB_WRITE: { title: 'Write to a table', sign: <path d="M3 4h10v8.5H3zM3 7h10M7 4v8.5" /> },
  TRANSFORM: { title: 'Transform', sign: <path d="M3 5h7l-2-2m5 8H6l2 2" /> },
  BRANCH: { title: 'Branch', sign: <path d="M3 8h4l3-4h3M7 8l3 4h3" /> },
  SUBWORKFLOW: { title: 'Sub-workflow', sign: <path d="M3 3h5v4H3zM8 9h5v4H8zM5.5 7v4H8" /> },
  WAIT: { title: 'Wait', sign: <path d="M8 2.5a5.5 5.5 0 1 1 0 11 5.5 5.5 0 0 1 0-11M8 5v3l2 1.5" /> },
  APPROVAL: { title: 'Approval', sign: <path d="M8 3a2.2 2.2 0 1 1 0 4.4A2.2 2.2 0 0 1 8 3M3.5 13c.5-5 8.5-5 9 0z" /> },
};

/** Name a kind, one of a plug-in too: `MY_KIND` becomes `My kind`. */
export function titleOfKind(kind: string): string {
  const words = kind.toLowerCase().replaceAll('_', ' ');
  return KINDS[kind]?.title ?? words.charAt(0).toUpperCase() + words.slice(1);
}

export function KindSign({ kind, size = 16 }: { readonly kind: string; readonly size?: number }) {
  return (
    <svg
      width={size}
      height={size}
      viewBox="0 0 16 16"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.4"
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
    >
      {KINDS[kind]?.sign ?? <path d="m8 2.5 5 3v5l-5 3-5-3v-5z" />}
    </svg>
  );
}
