/** What panels are made of. */

import type { ReactNode } from 'react';
import type { FailureFragment } from '../../generated/graphql';
import { Notice } from '../../parts/errors';
import { JsonView } from '../../parts/json-view';
import { hintFor } from './hints';

export function Failure({ error, children }: { readonly error: FailureFragment; readonly children?: ReactNode }) {
  const hint = hintFor(error.code);
  return (
    <Notice title={error.code}>
      <pre>{error.message}</pre>
      {hint && <p className="muted">{hint}</p>}
      {children}
    </Notice>
  );
}

export function Facts({ facts }: { readonly facts: readonly (readonly [string, ReactNode])[] }) {
  return (
    <dl className="facts">
      {facts
        .filter(([, value]) => value !== null && value !== undefined && value !== false)
        .map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
    </dl>
  );
}

export function Payload({ label, value, none }: { readonly label: string; readonly value: unknown; readonly none: string }) {
  if (value === null || value === undefined) return <p className="muted">{none}</p>;
  return <JsonView label={label} value={value} />;
}

/** The text in the output of a node that writes one. */
export function textIn(output: unknown): string | null {
  if (output === null || typeof output !== 'object' || !('text' in output)) return null;
  return typeof output.text === 'string' ? output.text : null;
}
