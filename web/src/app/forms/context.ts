/** What the fields of a form share. */

import { type ComponentType, createContext, useContext } from 'react';
import type { JsonObject, Path } from '../editor/json';
import { PlainText } from './plain-text';

/** What is wrong with a value, and where. */
export interface FieldError {
  readonly path: Path;
  readonly message: string;
  readonly hint?: string | null;
  readonly isWarning?: boolean;
}

/** Where a text is entered. */
export interface TextProps {
  readonly id: string;
  readonly value: string;
  readonly onChange: (text: string) => void;
  readonly isLong: boolean;
  readonly isTemplate: boolean;
  readonly isExpression: boolean;
  readonly isSecret: boolean;
  readonly isCode: boolean;
  readonly isInvalid: boolean;
  readonly describedBy: string | undefined;
  readonly placeholder?: string | undefined;
  readonly inputType?: string | undefined;
  /** The id of a `<datalist>` with what can be named. */
  readonly list?: string | undefined;
}

export interface FormShared {
  /** What `$ref`s refer to. */
  readonly root: JsonObject;
  readonly errors: readonly FieldError[];
  /** How texts are entered: plainly, or with what an editor of templates offers. */
  readonly Text: ComponentType<TextProps>;
  /** What a text that names something can name. */
  readonly namesOf: (reference: string) => readonly string[];
  /** Whether nothing waits behind a summary. */
  readonly isFlat?: boolean;
}

export const FormContext = createContext<FormShared>({ root: {}, errors: [], Text: PlainText, namesOf: () => [] });

export function useForm(): FormShared {
  return useContext(FormContext);
}

/** Return the errors of a field: those at its path, and for a field without parts also those inside. */
export function errorsAt(errors: readonly FieldError[], path: Path, parts: readonly string[] | null): readonly FieldError[] {
  return errors.filter((error) => {
    const isWithin = path.every((step, index) => error.path[index] === step);
    const next = error.path[path.length];
    return isWithin && (next === undefined || parts === null || !parts.includes(next));
  });
}
