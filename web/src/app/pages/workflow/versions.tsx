/** The published versions, and what differs between them. */

import { useState } from 'react';
import { useMutation } from 'urql';
import { type ProblemFragment, RestoreVersionDocument, type VersionRowFragment } from '../../generated/graphql';
import { Empty, Loading } from '../../parts/empty';
import { RequestError, UserErrors } from '../../parts/errors';
import { Ago } from '../../parts/time';
import { draftOf } from '../../editor/convert';
import { DiffView } from './diff-view';
import { useVersions } from './use-versions';
import { useWorkbench } from './workbench';

export function Versions({ publications }: { readonly publications: number }) {
  const { workflowId, mayEdit, state, open } = useWorkbench();
  const [{ data, error }, ask] = useVersions(workflowId, `${state.base.revision}.${publications}`);
  if (error && !data) return <RequestError error={error} onRetry={() => ask({ requestPolicy: 'network-only' })} />;
  if (!data?.workflow) return <Loading what="versions" />;
  const { versions, publishedVersion, hasUnpublishedChanges } = data.workflow;
  if (versions.nodes.length === 0) {
    return (
      <Empty title="Never published">
        <p>Runs use the draft. Once it is published, they use the published version, and you can edit in peace.</p>
        {mayEdit && (
          <button type="button" className="button compact" onClick={() => open({ type: 'publish' })}>
            Publish
          </button>
        )}
      </Empty>
    );
  }
  return (
    <div className="side-body">
      <p className="muted">{hasUnpublishedChanges ? 'The draft differs from what is published.' : 'The draft is what is published.'}</p>
      <ol className="versions">
        {versions.nodes.map((version, index) => (
          <VersionItem
            key={version.id}
            version={version}
            isPublished={version.number === publishedVersion?.number}
            before={versions.nodes[index + 1]?.number ?? null}
          />
        ))}
      </ol>
    </div>
  );
}

interface VersionItemProps {
  readonly version: VersionRowFragment;
  readonly isPublished: boolean;
  /** The version before it. */
  readonly before: number | null;
}

function VersionItem({ version, isPublished, before }: VersionItemProps) {
  const [compared, setCompared] = useState<'draft' | 'before' | null>(null);
  const toggle = (what: 'draft' | 'before') => setCompared(compared === what ? null : what);
  return (
    <li className="card version">
      <div className="version-head">
        <h3>Version {version.number}</h3>
        {isPublished && <span className="badge tone-succeeded">Published</span>}
        <span className="muted small">
          <Ago at={version.publishedAt} /> {version.publishedBy && `by ${version.publishedBy.name}`}
        </span>
      </div>
      {version.note && <p>{version.note}</p>}
      <div className="actions">
        <button type="button" className="button compact" aria-expanded={compared === 'draft'} onClick={() => toggle('draft')}>
          Compare with the draft
        </button>
        {before !== null && (
          <button type="button" className="button compact" aria-expanded={compared === 'before'} onClick={() => toggle('before')}>
            Changes since {before}
          </button>
        )}
        <Restore number={version.number} />
      </div>
      {compared === 'draft' && <DiffView from={version.number} to={null} />}
      {compared === 'before' && before !== null && <DiffView from={before} to={version.number} />}
    </li>
  );
}

function Restore({ number }: { readonly number: number }) {
  const { workflowId, mayEdit, state, sync } = useWorkbench();
  const [{ fetching, error }, restore] = useMutation(RestoreVersionDocument);
  const [errors, setErrors] = useState<readonly ProblemFragment[]>([]);
  const start = async () => {
    const { data } = await restore({ input: { id: workflowId, expectedRevision: state.base.revision, number } });
    setErrors(data?.restoreWorkflowVersion.userErrors ?? []);
    const workflow = data?.restoreWorkflowVersion.workflow;
    if (workflow && data.restoreWorkflowVersion.userErrors.length === 0) {
      sync.dispatch({ type: 'remote', change: { draft: draftOf(workflow), isLayout: false, by: null, isMine: true, nodeKeys: [] } });
    }
  };
  return (
    <>
      <button type="button" className="button quiet compact" disabled={fetching || !mayEdit || state.pending.length > 0} onClick={start}>
        Make it the draft
      </button>
      {error && <RequestError error={error} />}
      <UserErrors errors={errors} />
    </>
  );
}
