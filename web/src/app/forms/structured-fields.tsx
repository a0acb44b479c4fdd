/** Fields that have parts: objects, choices and lists. */

import { type ReactNode, useId } from 'react';
import { isObject, type Json, type JsonObject, type Path } from '../editor/json';
import { useForm } from './context';
import { SchemaField, type Shaped } from './field';
import { FieldErrors, useErrors } from './frame';
import { Prose } from '../parts/prose';
import { type Member, type Shape, shapeOf, wordsOf } from './shape';
import { emptyOf } from './starting';

interface GroupProps {
  readonly shape: Shape;
  readonly path: Path;
  readonly parts: readonly string[];
  readonly aside?: ReactNode;
  readonly children: ReactNode;
}

/** A frame with parts; at the top of a form it is not drawn. */
function Group({ shape, path, parts, aside, children }: GroupProps) {
  const errors = useErrors(path, parts);
  if (path.length === 0) {
    return (
      <>
        <FieldErrors errors={errors} />
        {children}
      </>
    );
  }
  return (
    <fieldset className={`form-group form-${shape.type}`} data-path={path.join('.')}>
      <legend>
        {shape.title} {aside}
      </legend>
      {shape.description !== null && (
        <p className="form-help">
          <Prose text={shape.description} />
        </p>
      )}
      <FieldErrors errors={errors} />
      {children}
    </fieldset>
  );
}

export function ObjectField({ shape, path, isRequired, value, onChange }: Shaped<'object'>) {
  const { root } = useForm();
  const object = isObject(value) ? value : {};
  const isSet = isObject(value) || isRequired || path.length === 0;
  const parts = shape.members.map((member) => member.name);
  const aside = isRequired ? undefined : isSet ? (
    <button type="button" className="button quiet compact" onClick={() => onChange(undefined)}>
      Clear
    </button>
  ) : (
    <button type="button" className="button quiet compact" onClick={() => onChange({})}>
      Set
    </button>
  );
  return (
    <Group shape={shape} path={path} parts={parts} aside={path.length > 0 && aside}>
      {isSet && <Members members={shape.members} object={object} path={path} root={root} onChange={onChange} />}
    </Group>
  );
}

interface MembersProps {
  readonly members: readonly Member[];
  readonly object: JsonObject;
  readonly path: Path;
  readonly root: JsonObject;
  readonly onChange: (value: JsonObject) => void;
}

/** What matters first; what is rarely set waits behind a summary. */
function Members({ members, object, path, root, onChange }: MembersProps) {
  const { errors, isFlat } = useForm();
  const isRare = (member: Member) => {
    if (isFlat) return false;
    const isFaulty = errors.some((error) => [...path, member.name].every((step, index) => error.path[index] === step));
    return path.length === 0 && !member.isRequired && object[member.name] === undefined && !isFaulty && !isProminent(shapeOf(member.schema, root));
  };
  const field = (member: Member) => (
    <SchemaField
      key={member.name}
      schema={member.schema}
      name={member.name}
      path={[...path, member.name]}
      isRequired={member.isRequired}
      value={object[member.name]}
      onChange={(part) => onChange(withMember(object, member.name, part))}
    />
  );
  const rare = members.filter(isRare);
  const common = members.filter((member) => !rare.includes(member));
  if (rare.length <= 1 || common.length === 0) return members.map(field);
  return (
    <>
      {common.map(field)}
      <details className="form-more">
        <summary>{rare.length} more settings</summary>
        <div className="form-body">{rare.map(field)}</div>
      </details>
    </>
  );
}

/** What most people look for: texts of the author's, choices of a mode, names of things. */
function isProminent(shape: Shape): boolean {
  return shape.isTemplate || shape.isExpression || shape.type === 'enum' || (shape.type === 'text' && shape.reference !== null);
}

function withMember(object: JsonObject, name: string, part: Json | undefined): JsonObject {
  const { [name]: _, ...others } = object;
  return part === undefined ? others : { ...object, [name]: part };
}

export function ChoiceField({ shape, path, isRequired, value, onChange }: Shaped<'choice'>) {
  const { root } = useForm();
  const id = useId();
  const object = isObject(value) ? value : {};
  const chosen = shape.members.find((member) => object[member.name] !== undefined && object[member.name] !== null);
  const choose = (name: string) => {
    const member = shape.members.find((one) => one.name === name);
    onChange(member ? { [name]: emptyOf(member.schema, root) } : undefined);
  };
  return (
    <Group shape={shape} path={path} parts={shape.members.map((member) => member.name)}>
      <label htmlFor={id} className="visually-hidden">
        {shape.title}: which
      </label>
      <select id={id} className="input" value={chosen?.name ?? ''} onChange={(event) => choose(event.target.value)}>
        {(!isRequired || !chosen) && <option value="">{isRequired ? 'Choose…' : 'Nothing'}</option>}
        {shape.members.map((member) => (
          <option key={member.name} value={member.name}>
            {wordsOf(member.name)}
          </option>
        ))}
      </select>
      {chosen && (
        <SchemaField
          schema={chosen.schema}
          name={chosen.name}
          path={[...path, chosen.name]}
          isRequired
          value={object[chosen.name]}
          onChange={(part) => onChange({ [chosen.name]: part ?? emptyOf(chosen.schema, root) })}
        />
      )}
    </Group>
  );
}

export function ListField({ shape, path, value, onChange }: Shaped<'list'>) {
  const { root } = useForm();
  const items = Array.isArray(value) ? (value as readonly Json[]) : [];
  const change = (next: readonly Json[]) => onChange(next.length > 0 || shape.preset !== undefined || value !== undefined ? next : undefined);
  const one = shape.title.replace(/s$/, '');
  const isFull = shape.maxItems !== null && items.length >= shape.maxItems;
  return (
    <Group shape={shape} path={path} parts={items.map((_, index) => String(index))}>
      <ol className="form-items">
        {items.map((item, index) => (
          <li key={index} className="form-item">
            <SchemaField
              schema={shape.items}
              name={`${one} ${index + 1}`}
              path={[...path, String(index)]}
              isRequired
              value={item}
              onChange={(part) => change(items.map((other, place) => (place === index ? (part ?? null) : other)))}
            />
            <ItemActions
              what={`${one} ${index + 1}`}
              onUp={index > 0 ? () => change(moved(items, index, index - 1)) : null}
              onDown={index < items.length - 1 ? () => change(moved(items, index, index + 1)) : null}
              onRemove={() => change(items.filter((_, place) => place !== index))}
            />
          </li>
        ))}
      </ol>
      <button type="button" className="button compact" disabled={isFull} onClick={() => change([...items, emptyOf(shape.items, root)])}>
        Add<span className="visually-hidden"> to {shape.title}</span>
      </button>
    </Group>
  );
}

function moved(items: readonly Json[], from: number, to: number): readonly Json[] {
  const rest = items.filter((_, place) => place !== from);
  return [...rest.slice(0, to), items[from] ?? null, ...rest.slice(to)];
}

interface ItemActionsProps {
  readonly what: string;
  readonly onUp: (() => void) | null;
  readonly onDown: (() => void) | null;
  readonly onRemove: () => void;
}

function ItemActions({ what, onUp, onDown, onRemove }: ItemActionsProps) {
  const buttons = [
    ['Move up', '↑', onUp],
    ['Move down', '↓', onDown],
    ['Remove', '✕', onRemove],
  ] as const;
  return (
    <div className="form-item-actions">
      {buttons.map(([does, sign, onClick]) => (
        <button
          key={does}
          type="button"
          className="button quiet icon compact"
          aria-label={`${does}: ${what}`}
          disabled={onClick === null}
          onClick={onClick ?? undefined}
        >
          {sign}
        </button>
      ))}
    </div>
  );
}
