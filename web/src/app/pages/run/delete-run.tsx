/** Deleting a run that is over, after a question: nothing brings it back. */

import { type FormEvent, useState } from 'react';
import { useMutation } from 'urql';
import { useLocation } from 'wouter';
import { DeleteRunDocument } from '../../generated/graphql';
import { useAnnouncer } from '../../parts/announce';
import { Dialog } from '../../parts/dialog';
import { RequestError, UserErrors } from '../../parts/errors';

export function DeleteButton({ runId }: { readonly runId: string }) {
  const [isAsking, setAsking] = useState(false);
  return (
    <>
      <button type="button" className="button danger" onClick={() => setAsking(true)}>
        Delete…
      </button>
      <Dialog title="Delete this run?" isOpen={isAsking} onClose={() => setAsking(false)}>
        <Form runId={runId} onKeep={() => setAsking(false)} />
      </Dialog>
    </>
  );
}

function Form({ runId, onKeep }: { readonly runId: string; readonly onKeep: () => void }) {
  const [{ data, error, fetching }, remove] = useMutation(DeleteRunDocument);
  const [, go] = useLocation();
  const { toast } = useAnnouncer();
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    const gone = await remove({ id: runId });
    if (!gone.data?.deleteRun.deletedRunId) return;
    toast('The run was deleted.');
    go('/');
  };
  return (
    <form className="stack" onSubmit={submit}>
      <p>
        Its log, its input and all outputs go with it, and so do the runs that it called. Rows that it wrote to tables stay, and what it used of models stays
        counted. This cannot be undone.
      </p>
      {error && <RequestError error={error} />}
      <UserErrors errors={data?.deleteRun.userErrors ?? []} />
      <div className="actions end">
        <button type="button" className="button" onClick={onKeep}>
          Keep it
        </button>
        <button type="submit" className="button danger" disabled={fetching}>
          Delete
        </button>
      </div>
    </form>
  );
}
