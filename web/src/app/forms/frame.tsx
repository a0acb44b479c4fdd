/** What stands around every field: its title, what it is for, and what is wrong with it. */

import { type ReactNode, useId } from 'react';
import type { Path } from '../editor/json';
import { Prose } from '../parts/prose';
import { errorsAt, type FieldError, useForm } from './context';
import type { Shape } from './shape';

export interface Framed {
  readonly id: string;
  readonly describedBy: string | undefined;
  readonly isInvalid: boolean;
}

interface FrameProps {
  readonly shape: Shape;
  readonly path: Path;
  readonly isRequired: boolean;
  /** What is wrong that only the field itself knows, such as half a number. */
  readonly fault?: string | null;
  readonly children: (framed: Framed) => ReactNode;
}

export function FieldFrame({ shape, path, isRequired, fault = null, children }: FrameProps) {
  const id = useId();
  const errors = useErrors(path, null, fault);
  const help = `${id}-help`;
  const isInvalid = errors.some((error) => !error.isWarning);
  const described = [shape.description === null ? null : help, errors.length > 0 ? `${id}-errors` : null].filter(Boolean).join(' ');
  return (
    <div className="form-field" data-path={path.join('.')}>
      <label htmlFor={id}>
        {shape.title}
        {isRequired && <span className="muted"> (required)</span>}
      </label>
      {children({ id, describedBy: described || undefined, isInvalid })}
      {shape.description !== null && (
        <p id={help} className="form-help">
          <Prose text={shape.description} />
        </p>
      )}
      <FieldErrors id={`${id}-errors`} errors={errors} />
    </div>
  );
}

export function useErrors(path: Path, parts: readonly string[] | null, fault: string | null = null): readonly FieldError[] {
  const { errors } = useForm();
  const own = errorsAt(errors, path, parts);
  return fault === null ? own : [{ path, message: fault }, ...own];
}

export function FieldErrors({ id, errors }: { readonly id?: string; readonly errors: readonly FieldError[] }) {
  if (errors.length === 0) return null;
  return (
    <ul id={id} className="form-errors">
      {errors.map((error, index) => (
        <li key={index} className={error.isWarning ? 'tone-waiting' : 'tone-failed'}>
          {error.isWarning ? '⚠ ' : '✕ '}
          <Prose text={`${error.message} ${error.hint ?? ''}`} />
        </li>
      ))}
    </ul>
  );
}
