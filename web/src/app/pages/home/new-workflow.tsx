/** Making a workflow: from an example, or blank. */

import { type FormEvent, useState } from 'react';
import { useMutation } from 'urql';
import { useLocation } from 'wouter';
import { CreateWorkflowDocument } from '../../generated/graphql';
import { Dialog } from '../../parts/dialog';
import { RequestError, UserErrors } from '../../parts/errors';
import { BEGINNINGS } from './beginnings';

interface NewWorkflowProps {
  readonly workspaceId: string;
  readonly isOpen: boolean;
  readonly onClose: () => void;
}

export function NewWorkflow({ workspaceId, isOpen, onClose }: NewWorkflowProps) {
  return (
    <Dialog title="New workflow" isOpen={isOpen} onClose={onClose}>
      <Form workspaceId={workspaceId} />
    </Dialog>
  );
}

function Form({ workspaceId }: { readonly workspaceId: string }) {
  const [{ data, error, fetching }, create] = useMutation(CreateWorkflowDocument);
  const [, go] = useLocation();
  const [chosen, setChosen] = useState(0);
  const [name, setName] = useState(BEGINNINGS[0]?.name ?? '');
  const choose = (index: number) => {
    setChosen(index);
    setName(BEGINNINGS[index]?.name ?? '');
  };
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    const made = await create({ input: { ...BEGINNINGS[chosen]?.draft, workspaceId, name } });
    const id = made.data?.createWorkflow.workflow?.id;
    if (id) go(`/workflows/${id}`);
  };
  return (
    <form className="stack" onSubmit={submit}>
      <fieldset className="choices">
        <legend>Begin with</legend>
        {BEGINNINGS.map(({ title, description }, index) => (
          <label key={title} className="choice">
            <input type="radio" name="beginning" checked={index === chosen} onChange={() => choose(index)} />
            <span>
              <strong>{title}</strong>
              <span className="muted small">{description}</span>
            </span>
          </label>
        ))}
      </fieldset>
      <label className="field">
        <span>Name</span>
        <input className="input" value={name} onChange={(event) => setName(event.target.value)} required maxLength={100} />
      </label>
      {error && <RequestError error={error} />}
      <UserErrors errors={data?.createWorkflow.userErrors ?? []} />
      <div className="actions end">
        <button type="submit" className="button primary" disabled={fetching}>
          Make it
        </button>
      </div>
    </form>
  );
}
