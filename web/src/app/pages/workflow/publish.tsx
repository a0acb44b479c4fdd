/** Publishing the draft: what starts without a person uses it from then on. */

import { type FormEvent, useState } from 'react';
import { useMutation } from 'urql';
import { type ProblemFragment, PublishWorkflowDocument } from '../../generated/graphql';
import { useAnnouncer } from '../../parts/announce';
import { Notice, RequestError, UserErrors } from '../../parts/errors';
import { DiffView } from './diff-view';
import { useVersions } from './use-versions';
import { useWorkbench } from './workbench';

export function Publish({ onDone }: { readonly onDone: () => void }) {
  const { workflowId, state } = useWorkbench();
  const { toast } = useAnnouncer();
  const [{ data: known }] = useVersions(workflowId, 'publish');
  const [{ fetching, error }, publish] = useMutation(PublishWorkflowDocument);
  const [errors, setErrors] = useState<readonly ProblemFragment[]>([]);
  const published = known?.workflow?.publishedVersion?.number;
  const problems = state.shown.problems.filter((problem) => problem.severity === 'ERROR');
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const note = String(new FormData(event.currentTarget).get('note')).trim();
    const { data } = await publish({ input: { id: workflowId, expectedRevision: state.base.revision, note: note || null } });
    const payload = data?.publishWorkflow;
    setErrors(payload?.userErrors ?? []);
    if (!payload?.version || payload.userErrors.length > 0) return;
    toast(`Version ${payload.version.number} is published.`);
    onDone();
  };
  return (
    <form className="stack" onSubmit={submit}>
      <p>
        {published === undefined
          ? 'Runs use the draft until it is published for the first time; from then on they use what is published.'
          : `It takes the place of version ${published}, which stays in the list.`}
      </p>
      {problems.length > 0 && (
        <Notice title="The draft has errors">
          <p>Correct them first: they are listed under Problems.</p>
        </Notice>
      )}
      <label className="field">
        <span>What changed</span>
        <textarea className="input" name="note" rows={2} maxLength={2_000} placeholder="For those who read the list of versions" />
      </label>
      {published !== undefined && (
        <details>
          <summary>What differs from version {published}</summary>
          <DiffView from={published} to={null} />
        </details>
      )}
      {error && <RequestError error={error} />}
      <UserErrors errors={errors} />
      <div className="actions end">
        <button type="submit" className="button primary" disabled={fetching || problems.length > 0 || state.pending.length > 0}>
          Publish
        </button>
      </div>
    </form>
  );
}
