/** The questions that runs of a workspace ask people now. */

import { useCallback, useEffect, useState } from 'react';
import { useQuery, useSubscription } from 'urql';
import { Link } from 'wouter';
import { useReconnected } from '../../api/context';
import { InboxDocument, type InboxRowFragment, RunsChangedDocument } from '../../generated/graphql';
import { Loading } from '../../parts/empty';
import { RequestError } from '../../parts/errors';
import { Ago, Left } from '../../parts/time';
import { usePaced } from '../../parts/use-paced';
import { pathOf } from '../run/use-chosen';

/** Runs change often; a question may come a moment later. */
const PACE_MS = 2_000;

export function Inbox({ workspaceId }: { readonly workspaceId: string }) {
  const { data, error, readAgain } = useInbox(workspaceId);
  const asked = data?.workspace?.approvals;
  return (
    <section className="card" aria-labelledby="inbox">
      <div className="section-head">
        <h2 id="inbox">Waiting for an answer</h2>
        {asked && asked.totalCount > 0 && <span className="badge tone-waiting">{asked.totalCount}</span>}
      </div>
      {error && !asked && <RequestError error={error} onRetry={readAgain} />}
      {!error && !asked && <Loading what="questions" lines={1} />}
      {asked?.totalCount === 0 && <p className="muted section-foot">No run asks anything now. Questions of APPROVAL nodes appear here.</p>}
      {asked && asked.totalCount > 0 && (
        <ul className="rows">
          {asked.nodes.map((question) => (
            <li key={question.id}>
              <QuestionRow question={question} />
            </li>
          ))}
        </ul>
      )}
      {asked && asked.totalCount > asked.nodes.length && (
        <p className="muted small section-foot">{`The first ${asked.nodes.length}; others come as these are answered.`}</p>
      )}
    </section>
  );
}

/** The questions, read again whenever runs changed: questions have no subscription of their own. */
function useInbox(workspaceId: string) {
  const [{ data, error }, ask] = useQuery({ query: InboxDocument, variables: { workspaceId }, requestPolicy: 'cache-and-network' });
  const [{ data: changed }] = useSubscription({ query: RunsChangedDocument, variables: { workspaceId } });
  const [changes, setChanges] = useState(0);
  useEffect(() => {
    if (changed) setChanges((count) => count + 1);
  }, [changed]);
  const readAgain = useCallback(() => ask({ requestPolicy: 'network-only' }), [ask]);
  usePaced(changes, PACE_MS, readAgain);
  useReconnected(readAgain);
  return { data, error, readAgain };
}

function QuestionRow({ question }: { readonly question: InboxRowFragment }) {
  const { run, nodeKey, itemIndex, isAnswerable, assignees, expiresAt, createdAt } = question;
  return (
    <Link href={pathOf(run.id, nodeKey)} className="row row-link">
      <span className="row-main">
        <span className="row-title">{question.title}</span>
        <span className="muted small row-note">
          {run.workflow.name}
          {itemIndex !== null && `, item ${itemIndex}`} · <Ago at={createdAt} />
        </span>
      </span>
      {!isAnswerable && <span className="muted small">{assignees.length > 0 ? `asks ${assignees[0]}${assignees.length > 1 ? ', …' : ''}` : 'asks editors'}</span>}
      <span className="badge tone-waiting">
        <Left until={expiresAt} />
      </span>
    </Link>
  );
}
