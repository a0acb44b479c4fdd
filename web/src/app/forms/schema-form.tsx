/** A form for a value that a JSON Schema describes. */

import './forms.css';
import { type ComponentType, useMemo } from 'react';
import type { Json, JsonObject } from '../editor/json';
import { type FieldError, FormContext, type TextProps } from './context';
import { SchemaField } from './field';
import { PlainText } from './plain-text';

interface SchemaFormProps {
  readonly schema: JsonObject;
  readonly value: Json | undefined;
  readonly onChange: (value: Json | undefined) => void;
  readonly errors?: readonly FieldError[];
  readonly Text?: ComponentType<TextProps>;
  readonly namesOf?: (reference: string) => readonly string[];
  /** What the value as a whole is called, where it has no parts. */
  readonly name?: string;
  /** Whether all fields are shown at once, also those that are rarely set. */
  readonly isFlat?: boolean;
}

const NO_ERRORS: readonly FieldError[] = [];
const NO_NAMES = () => [];

export function SchemaForm({ schema, value, onChange, errors = NO_ERRORS, Text = PlainText, namesOf = NO_NAMES, name = 'value', isFlat = false }: SchemaFormProps) {
  const shared = useMemo(() => ({ root: schema, errors, Text, namesOf, isFlat }), [schema, errors, Text, namesOf, isFlat]);
  return (
    <FormContext.Provider value={shared}>
      <div className="form-body">
        <SchemaField schema={schema} name={name} path={[]} isRequired value={value} onChange={onChange} />
      </div>
    </FormContext.Provider>
  );
}
