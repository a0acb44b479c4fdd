/** Starting a run from the list: a form for the input that the workflow asks for, or JSON. */

import { InputForm } from '../../forms/input-form';
import { useStartOptions } from '../../forms/start-options';
import { useStart } from '../../forms/use-start';
import { Dialog } from '../../parts/dialog';
import { RequestError } from '../../parts/errors';

export interface Startable {
  readonly id: string;
  readonly name: string;
  readonly inputSchema: unknown;
}

export function StartDialog({ workflow, onClose }: { readonly workflow: Startable | null; readonly onClose: () => void }) {
  return (
    <Dialog title={`Start ${workflow?.name ?? ''}`} isOpen={workflow !== null} onClose={onClose}>
      {workflow && <Form workflow={workflow} />}
    </Dialog>
  );
}

function Form({ workflow }: { readonly workflow: Startable }) {
  const { submit, errors, error, isStarting } = useStart();
  const { options, fields } = useStartOptions();
  return (
    <>
      {error && <RequestError error={error} />}
      <InputForm
        schema={workflow.inputSchema}
        errors={errors}
        isBusy={isStarting}
        action="Start the run"
        onSubmit={(input) => submit({ ...options, workflowId: workflow.id, input })}
      >
        {fields}
      </InputForm>
    </>
  );
}
