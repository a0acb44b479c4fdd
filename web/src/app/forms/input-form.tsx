/** A form for the input of a run; JSON where the schema asks for nothing that a form can ask. */

import { type FormEvent, type ReactNode, useMemo, useState } from 'react';
import { isObject, type Json, type JsonObject } from '../editor/json';
import type { ProblemFragment } from '../generated/graphql';
import { UserErrors } from '../parts/errors';
import type { FieldError } from './context';
import { SchemaForm } from './schema-form';
import { shapeOf } from './shape';
import { startingValue } from './starting';
import { faultsOf } from './validate';

interface InputFormProps {
  readonly schema: unknown;
  /** What the server said against the last attempt. */
  readonly errors: readonly ProblemFragment[];
  readonly isBusy: boolean;
  readonly action: string;
  /** What is asked for beside the input. */
  readonly children?: ReactNode;
  readonly onSubmit: (input: Json) => void;
}

const ANYTHING: JsonObject = { title: 'Input, as JSON', description: 'The workflow asks for no particular input.' };

export function InputForm({ schema: given, errors, isBusy, action, children, onSubmit }: InputFormProps) {
  const schema = isObject(given as Json) ? (given as JsonObject) : ANYTHING;
  const hasForm = useMemo(() => shapeOf(schema, schema).type !== 'json', [schema]);
  const [isRaw, setRaw] = useState(!hasForm);
  const [value, setValue] = useState<Json | undefined>(() => startingValue(schema));
  const [isTried, setTried] = useState(false);
  const faults = useMemo(() => faultsOf(value ?? null, schema, schema), [value, schema]);
  const placed = errors.map((error): FieldError => ({ path: pathOf(error), message: error.message }));
  const shown = [...placed, ...(isTried ? faults : [])];
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setTried(true);
    if (faults.length === 0) onSubmit(value ?? null);
  };
  return (
    <form className="stack" onSubmit={submit} noValidate>
      <SchemaForm schema={isRaw ? { ...ANYTHING, description: '' } : schema} value={value} onChange={setValue} errors={shown} name="input" />
      {children}
      <UserErrors errors={errors.filter((error) => error.path?.[1] !== 'input' || error.__typename === 'GraphProblemsError')} />
      <div className="actions end">
        {hasForm && (
          <button type="button" className="button quiet" onClick={() => setRaw(!isRaw)}>
            {isRaw ? 'Use the form' : 'Enter JSON'}
          </button>
        )}
        <button type="submit" className="button primary" disabled={isBusy}>
          {action}
        </button>
      </div>
    </form>
  );
}

/** `input`, `input` and the way into the input, as `startRun` names a fault. */
function pathOf({ path }: ProblemFragment): readonly string[] {
  return path?.[0] === 'input' && path[1] === 'input' ? path.slice(2) : ['\u0000 elsewhere'];
}
