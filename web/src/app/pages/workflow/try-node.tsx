/** Runs this one node on what an earlier run recorded, and shows what comes. */

import { useState } from 'react';
import { useMutation } from 'urql';
import { Link } from 'wouter';
import type { DraftNode } from '../../editor/model';
import { type ProblemFragment, TryNodeDocument } from '../../generated/graphql';
import { RequestError, UserErrors } from '../../parts/errors';
import { Trial } from './trial';
import { useWorkbench } from './workbench';

export function TryNode({ node }: { readonly node: DraftNode }) {
  const { workflowId, state } = useWorkbench();
  const [{ fetching, error }, tryNode] = useMutation(TryNodeDocument);
  const [errors, setErrors] = useState<readonly ProblemFragment[]>([]);
  const [runId, setRunId] = useState<string | null>(null);
  const isUnsaved = state.pending.length > 0;
  const start = async () => {
    setRunId(null);
    const { data } = await tryNode({ input: { workflowId, nodeKey: node.key } });
    setErrors(data?.tryNode.userErrors ?? []);
    setRunId(data?.tryNode.run?.id ?? null);
  };
  return (
    <section aria-label="Try this node" className="form-section">
      <h3>Try this node</h3>
      <p className="form-help">Runs it alone on the input and outputs of the latest run. Its effects are real.</p>
      <div className="actions">
        <button type="button" className="button compact" disabled={fetching || isUnsaved} onClick={start}>
          ▶ Try
        </button>
        {runId !== null && <Link href={`/runs/${runId}`}>Open its run</Link>}
      </div>
      {error && <RequestError error={error} />}
      <UserErrors errors={errors} />
      {runId !== null && <Trial key={runId} runId={runId} nodeKey={node.key} />}
    </section>
  );
}
