/** What came of a node: what it asks, writes, waits for and returned, or why it failed. */

import { useEffect, useRef } from 'react';
import type { NodePayloadsQuery } from '../../generated/graphql';
import { Loading } from '../../parts/empty';
import { CopyButton } from '../../parts/json-view';
import { Instant } from '../../parts/time';
import { Failure, Payload, textIn } from './panel';
import { QuestionsOfNode } from './questions/questions';
import type { NodeView, OpenedRun } from './run-view';
import { RunLink, WaitNote } from './waits';

export type RecordedNode = NonNullable<NonNullable<NodePayloadsQuery['run']>['nodeRun']>;

interface ResultProps {
  readonly run: OpenedRun;
  readonly kind: string | undefined;
  readonly node: NodeView;
  readonly recorded: RecordedNode | null | undefined;
  readonly isFetching: boolean;
}

export function Result({ run, kind, node, recorded, isFetching }: ResultProps) {
  const output = recorded?.output;
  const written = textIn(output) ?? node.text;
  return (
    <div className="stack">
      {kind === 'APPROVAL' && <QuestionsOfNode run={run} nodeKey={node.key} />}
      {node.waiting && node.waiting.reason !== 'APPROVAL' && <WaitNote waiting={node.waiting} />}
      {recorded?.subRun && <RunLink run={recorded.subRun} />}
      {node.error && (node.status === 'FAILED' || node.status === 'RETRYING') && <Failure error={node.error} />}
      {node.status === 'RETRYING' && node.nextAttemptAt && (
        <p className="muted">
          The next attempt begins at <Instant at={node.nextAttemptAt} />.
        </p>
      )}
      <Standing node={node} isWriting={written !== ''} />
      {node.reasoning && (
        <details>
          <summary className="muted">Reasoning</summary>
          <p className="written muted">{node.reasoning}</p>
        </details>
      )}
      {written !== '' && <Written text={written} isGrowing={node.status === 'RUNNING'} />}
      {node.status === 'SUCCEEDED' && isFetching && output === undefined && <Loading what="the output" />}
      {(node.status === 'SUCCEEDED' || node.status === 'REUSED') && output !== undefined && <Payload label="Output" value={output} none="It returned nothing." />}
    </div>
  );
}

/** Where a node stands that has nothing to show. */
function Standing({ node, isWriting }: { readonly node: NodeView; readonly isWriting: boolean }) {
  if (node.status === 'PENDING') return <p className="muted">It has not started: it waits for the nodes before it.</p>;
  if (node.status === 'SKIPPED') return <p className="muted">{skipped(node.skipReason)}</p>;
  if (node.status === 'REUSED') return <p className="muted">Not done again: its output was taken over from the run that this one was made from.</p>;
  if (node.status === 'CANCELED') return <p className="muted">It was stopped before it ended.</p>;
  if (node.status === 'RUNNING' && !isWriting && node.itemsDone === null) return <p className="muted">At work; nothing has come yet.</p>;
  return null;
}

function skipped(reason: string | null): string {
  if (reason === 'CONDITION_FALSE') return 'Skipped: its condition was false.';
  if (reason === 'UPSTREAM_FAILED') return 'Skipped: a node before it failed.';
  return 'Skipped: no way led here.';
}

/** A text that grows; the end stays in view unless one has scrolled away from it. */
export function Written({ text, isGrowing }: { readonly text: string; readonly isGrowing: boolean }) {
  const box = useRef<HTMLDivElement>(null);
  const isAtEnd = useRef(true);
  useEffect(() => {
    if (box.current && isGrowing && isAtEnd.current) box.current.scrollTop = box.current.scrollHeight;
  }, [text, isGrowing]);
  return (
    <div>
      <div className="actions end">
        <CopyButton text={() => text} what="Text" />
      </div>
      <div
        ref={box}
        className="written"
        tabIndex={0}
        role="group"
        aria-label="Text"
        aria-busy={isGrowing}
        onScroll={({ currentTarget: { scrollTop, scrollHeight, clientHeight } }) => {
          isAtEnd.current = scrollHeight - scrollTop - clientHeight < 24;
        }}
      >
        {text}
        {isGrowing && <i className="caret" />}
      </div>
    </div>
  );
}
