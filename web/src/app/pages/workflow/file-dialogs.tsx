/** The workflow as a YAML file: taken out, and put back. */

import { type ChangeEvent, useState } from 'react';
import { useMutation, useQuery } from 'urql';
import { draftOf } from '../../editor/convert';
import { ExportWorkflowDocument, ImportWorkflowDocument, type ImportWorkflowMutation } from '../../generated/graphql';
import { useAnnouncer } from '../../parts/announce';
import { Loading } from '../../parts/empty';
import { Notice, RequestError } from '../../parts/errors';
import { CopyButton } from '../../parts/json-view';
import { useEpoch } from './use-epoch';
import { useWorkbench } from './workbench';

export function ExportFile() {
  const { workflowId, slug, state } = useWorkbench();
  const [{ data, error }] = useQuery({
    query: ExportWorkflowDocument,
    variables: { id: workflowId },
    requestPolicy: 'network-only',
    context: useEpoch(state.base.revision),
  });
  if (error) return <RequestError error={error} />;
  if (!data?.workflow) return <Loading what="the file" />;
  const { document: text } = data.workflow;
  return (
    <>
      <p>
        The draft as YAML, in a stable order: a file for version control. <code>anabranch import</code> takes it back, and so does “Import a
        file”.
      </p>
      <pre className="document" tabIndex={0} aria-label="The file">
        {text}
      </pre>
      <div className="actions end">
        <CopyButton text={() => text} what="the file" />
        <button type="button" className="button primary" onClick={() => download(`${slug}.yaml`, text)}>
          Download {slug}.yaml
        </button>
      </div>
    </>
  );
}

function download(name: string, text: string): void {
  const url = URL.createObjectURL(new Blob([text], { type: 'application/yaml' }));
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  URL.revokeObjectURL(url);
}

type Fault = ImportWorkflowMutation['importWorkflow']['userErrors'][number];

export function ImportFile({ onDone }: { readonly onDone: () => void }) {
  const { workspaceId, workflowId, slug, state, sync } = useWorkbench();
  const { toast } = useAnnouncer();
  const [{ fetching, error }, importWorkflow] = useMutation(ImportWorkflowDocument);
  const [text, setText] = useState('');
  const [faults, setFaults] = useState<readonly Fault[]>([]);
  const otherSlug = /^slug:\s*['"]?([\w-]+)/m.exec(text)?.[1];
  const read = async (event: ChangeEvent<HTMLInputElement>) => setText((await event.target.files?.[0]?.text()) ?? '');
  const submit = async () => {
    const input = { workspaceId, document: text, mode: 'UPSERT', expectedRevision: state.base.revision } as const;
    const { data } = await importWorkflow({ input });
    const payload = data?.importWorkflow;
    setFaults(payload?.userErrors ?? []);
    if (!payload?.workflow || payload.userErrors.length > 0) return;
    if (payload.workflow.id === workflowId) {
      sync.dispatch({ type: 'remote', change: { draft: draftOf(payload.workflow), isLayout: false, by: null, isMine: true, nodeKeys: [] } });
    }
    toast('Imported.');
    onDone();
  };
  return (
    <>
      <p>
        Replaces the draft of this workflow with what a file says. The file names it by its slug, <code>{slug}</code>.
      </p>
      <label className="field">
        <span>File</span>
        <input className="input" type="file" accept=".yaml,.yml" onChange={read} />
      </label>
      <label className="field">
        <span>Its text</span>
        <textarea className="input mono" rows={12} spellCheck={false} value={text} onChange={(event) => setText(event.target.value)} />
      </label>
      {otherSlug !== undefined && otherSlug !== slug && (
        <Notice title={`The file is about another workflow, “${otherSlug}”`} tone="waiting">
          <p>Change its slug to “{slug}” to import it here.</p>
        </Notice>
      )}
      {error && <RequestError error={error} />}
      <Faults faults={faults} />
      <div className="actions end">
        <button
          type="button"
          className="button primary"
          disabled={fetching || text.trim() === '' || (otherSlug !== undefined && otherSlug !== slug) || state.pending.length > 0}
          onClick={submit}
        >
          Replace the draft
        </button>
      </div>
    </>
  );
}

function Faults({ faults }: { readonly faults: readonly Fault[] }) {
  if (faults.length === 0) return null;
  return (
    <Notice title="Not imported" isAlert>
      <ul className="form-errors">
        {faults.map((fault, index) => (
          <li key={index}>
            {fault.message}
            {fault.__typename === 'DocumentProblemsError' && (
              <ul>
                {fault.problems.map((problem, place) => (
                  <li key={place}>
                    Line {problem.line}, column {problem.column}: {problem.message} {problem.hint}
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
