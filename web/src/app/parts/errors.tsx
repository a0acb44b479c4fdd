/** What went wrong, so that one can do something about it. */

import type { CombinedError } from '@urql/core';
import { Component, type ReactNode } from 'react';
import type { ProblemFragment } from '../generated/graphql';
import type { Tone } from './status';

interface NoticeProps {
  readonly title: string;
  readonly tone?: Tone;
  /** Whether it is said aloud at once; for what happened while one looked. */
  readonly isAlert?: boolean;
  readonly children?: ReactNode;
}

export function Notice({ title, tone = 'failed', isAlert = false, children }: NoticeProps) {
  return (
    <div className={`notice tone-${tone}`} role={isAlert ? 'alert' : undefined}>
      <strong>{title}</strong>
      {children}
    </div>
  );
}

/** Say why an operation gave no answer. */
export function tellError(error: CombinedError): string {
  if (error.networkError) return 'The server cannot be reached. Is it running, and is there a network?';
  return error.graphQLErrors.map(({ message }) => message).join(' ') || error.message;
}

export function RequestError({ error, onRetry }: { readonly error: CombinedError; readonly onRetry?: () => void }) {
  return (
    <Notice title="That did not work" isAlert>
      <p>{tellError(error)}</p>
      {onRetry && (
        <div className="actions">
          <button type="button" className="button compact" onClick={onRetry}>
            Try again
          </button>
        </div>
      )}
    </Notice>
  );
}

/** What the caller can correct, one sentence each, with the problems of the graph where there are some. */
export function UserErrors({ errors }: { readonly errors: readonly ProblemFragment[] }) {
  if (errors.length === 0) return null;
  return (
    <Notice title={errors.length === 1 ? 'Not done' : `Not done, for ${errors.length} reasons`} isAlert>
      <ul>
        {errors.map((error, index) => (
          <li key={index}>
            {error.message} <code className="muted">{error.code}</code>
            {error.__typename === 'GraphProblemsError' && (
              <ul>
                {error.problems.map((problem, place) => (
                  <li key={place}>
                    {problem.nodeKey && <code>{problem.nodeKey}</code>} {problem.message} {problem.hint}
                  </li>
                ))}
              </ul>
            )}
          </li>
        ))}
      </ul>
    </Notice>
  );
}

/** Catches what a page throws, so that the rest of the window stays. */
export class Boundary extends Component<{ readonly children: ReactNode }, { readonly error: Error | null }> {
  override state: { readonly error: Error | null } = { error: null };

  static getDerivedStateFromError(error: Error) {
    return { error };
  }

  override render() {
    const { error } = this.state;
    if (!error) return this.props.children;
    return (
      <div style={{ padding: 24 }}>
        <Notice title="This page has a fault" isAlert>
          <p>{error.message}</p>
          <p>Nothing is lost on the server. Reload the page to go on.</p>
        </Notice>
      </div>
    );
  }
}
