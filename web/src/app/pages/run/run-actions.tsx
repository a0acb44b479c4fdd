/** What one can do with a run as a whole. */

import { useState } from 'react';
import { useMutation } from 'urql';
import { CancelRunDocument, PauseRunDocument, ResumeRunDocument } from '../../generated/graphql';
import { useAnnouncer } from '../../parts/announce';
import { tellError } from '../../parts/errors';

export function CancelButton({ runId, isCanceling }: { readonly runId: string; readonly isCanceling: boolean }) {
  const [{ fetching }, cancel] = useMutation(CancelRunDocument);
  const { toast } = useAnnouncer();
  const press = async () => {
    const { data, error } = await cancel({ id: runId });
    const problem = error ? tellError(error) : data?.cancelRun.userErrors[0]?.message;
    if (problem) toast(problem, 'failed');
  };
  return (
    <button type="button" className="button danger" disabled={fetching || isCanceling} onClick={press}>
      {isCanceling ? 'Canceling…' : 'Cancel'}
    </button>
  );
}

interface PauseProps {
  readonly runId: string;
  readonly isPaused: boolean;
}

/** Pauses and resumes; it is made anew with every status, so that it waits for what it asked for and no longer. */
export function PauseButton({ runId, isPaused }: PauseProps) {
  const [, pause] = useMutation(PauseRunDocument);
  const [, resume] = useMutation(ResumeRunDocument);
  const [isAsked, setAsked] = useState(false);
  const { toast } = useAnnouncer();
  const press = async () => {
    setAsked(true);
    const problem = await (isPaused ? asked(resume({ id: runId }), 'resumeRun') : asked(pause({ id: runId }), 'pauseRun'));
    if (problem === null) return;
    setAsked(false);
    toast(problem, 'failed');
  };
  const [does, isDoing] = isPaused ? ['Resume', 'Resuming…'] : ['Pause', 'Pausing…'];
  return (
    <button type="button" className="button" disabled={isAsked} onClick={press}>
      {isAsked ? isDoing : does}
    </button>
  );
}

type Errors = { readonly userErrors: readonly { readonly message: string }[] };

/** Return why it was not done; null where it was. */
async function asked<Name extends string>(
  sent: Promise<{ readonly data?: { readonly [name in Name]: Errors }; readonly error?: Parameters<typeof tellError>[0] }>,
  name: Name,
): Promise<string | null> {
  const { data, error } = await sent;
  return error ? tellError(error) : (data?.[name].userErrors[0]?.message ?? null);
}
