/** Starting a run: a form for the input that the workflow asks for, or JSON. */

import { useState } from 'react';
import { InputForm } from '../../forms/input-form';
import { useStartOptions } from '../../forms/start-options';
import { useStart } from '../../forms/use-start';
import { Notice, RequestError } from '../../parts/errors';
import { useVersions } from './use-versions';
import { useWorkbench } from './workbench';

export function RunForm() {
  const { workflowId, state } = useWorkbench();
  const [{ data }] = useVersions(workflowId, 'run');
  const { submit, errors, error, isStarting } = useStart();
  const { options, fields } = useStartOptions();
  const [useDraft, setUseDraft] = useState(true);
  const published = data?.workflow?.publishedVersion;
  const isBlocked = useDraft && state.shown.problems.some((problem) => problem.severity === 'ERROR');
  return (
    <>
      {published && (
        <label className="field">
          <span>What runs</span>
          <select className="input" value={String(useDraft)} onChange={(event) => setUseDraft(event.target.value === 'true')}>
            <option value="true">The draft</option>
            <option value="false">{`Version ${published.number}, as published`}</option>
          </select>
        </label>
      )}
      {isBlocked && (
        <Notice title="The draft has errors">
          <p>They are listed under Problems; a run can start once they are gone.</p>
        </Notice>
      )}
      {error && <RequestError error={error} />}
      <InputForm
        schema={state.shown.workflow.inputSchema}
        errors={errors}
        isBusy={isStarting || isBlocked || state.pending.length > 0}
        action="Start the run"
        onSubmit={(input) => submit({ ...options, workflowId, input, useDraft })}
      >
        {fields}
      </InputForm>
    </>
  );
}
