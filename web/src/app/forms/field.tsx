/** A field for whatever a schema asks for. */

import type { Json, JsonObject, Path } from '../editor/json';
import { useForm } from './context';
import { FieldFrame } from './frame';
import { JsonField, NumberField } from './parsed-fields';
import { type Shape, shapeOf } from './shape';
import { ChoiceField, ListField, ObjectField } from './structured-fields';

export interface FieldProps {
  readonly schema: JsonObject;
  readonly name: string;
  readonly path: Path;
  readonly isRequired: boolean;
  /** Undefined where nothing is set. */
  readonly value: Json | undefined;
  readonly onChange: (value: Json | undefined) => void;
}

export function SchemaField(props: FieldProps) {
  const { root } = useForm();
  const shape = shapeOf(props.schema, root, props.name);
  switch (shape.type) {
    case 'text':
      return <TextField {...props} shape={shape} />;
    case 'number':
      return <NumberField {...props} shape={shape} />;
    case 'boolean':
      return <BooleanField {...props} shape={shape} />;
    case 'enum':
      return <EnumField {...props} shape={shape} />;
    case 'list':
      return <ListField {...props} shape={shape} />;
    case 'object':
      return <ObjectField {...props} shape={shape} />;
    case 'choice':
      return <ChoiceField {...props} shape={shape} />;
    case 'json':
      return <JsonField {...props} shape={shape} />;
  }
}

export type Shaped<Type extends Shape['type']> = FieldProps & { readonly shape: Extract<Shape, { readonly type: Type }> };

const INPUT_TYPES: Readonly<Record<string, string>> = { date: 'date', email: 'email', uri: 'url', time: 'time' };

function TextField({ shape, path, isRequired, value, onChange }: Shaped<'text'>) {
  const { Text, namesOf } = useForm();
  const names = shape.reference === null ? [] : namesOf(shape.reference);
  // What is optional and empty is absent; what is required stays, for its error to have a place.
  const change = (text: string) => onChange(text === '' && !isRequired ? undefined : text);
  return (
    <FieldFrame shape={shape} path={path} isRequired={isRequired}>
      {({ id, describedBy, isInvalid }) => (
        <>
          <Text
            id={id}
            value={typeof value === 'string' ? value : value === undefined || value === null ? '' : JSON.stringify(value)}
            onChange={change}
            isLong={shape.isLong}
            isTemplate={shape.isTemplate}
            isExpression={shape.isExpression}
            isSecret={shape.isSecret}
            isCode={false}
            isInvalid={isInvalid}
            describedBy={describedBy}
            placeholder={typeof shape.preset === 'string' ? shape.preset : undefined}
            inputType={shape.format === null ? undefined : INPUT_TYPES[shape.format]}
            list={names.length > 0 ? `${id}-names` : undefined}
          />
          {names.length > 0 && (
            <datalist id={`${id}-names`}>
              {names.map((name) => (
                <option key={name} value={name} />
              ))}
            </datalist>
          )}
        </>
      )}
    </FieldFrame>
  );
}

function BooleanField({ shape, path, value, onChange }: Shaped<'boolean'>) {
  return (
    <FieldFrame shape={shape} path={path} isRequired={false}>
      {({ id, describedBy }) => (
        <input
          id={id}
          type="checkbox"
          className="checkbox"
          aria-describedby={describedBy}
          checked={(value ?? shape.preset) === true}
          onChange={(event) => onChange(event.target.checked)}
        />
      )}
    </FieldFrame>
  );
}

function EnumField({ shape, path, isRequired, value, onChange }: Shaped<'enum'>) {
  const chosen = value ?? shape.preset ?? null;
  const place = shape.options.findIndex((option) => option.value === chosen);
  const description = shape.options[place]?.description ?? null;
  const isOptional = !isRequired && (shape.preset === undefined || shape.preset === null);
  return (
    <FieldFrame shape={description === null ? shape : { ...shape, description }} path={path} isRequired={isRequired}>
      {({ id, describedBy, isInvalid }) => (
        <select
          id={id}
          className="input"
          aria-describedby={describedBy}
          aria-invalid={isInvalid}
          value={place}
          onChange={(event) => onChange(shape.options[Number(event.target.value)]?.value)}
        >
          {(isOptional || place === -1) && <option value={-1}>{isOptional ? 'Not set' : 'Choose…'}</option>}
          {shape.options.map((option, index) => (
            <option key={index} value={index}>
              {option.title}
            </option>
          ))}
        </select>
      )}
    </FieldFrame>
  );
}
