/** Fields whose text means something else: numbers and JSON. What does not parse (yet) stays as it is typed. */

import { useState } from 'react';
import { isEqual, type Json } from '../editor/json';
import { useForm } from './context';
import type { Shaped } from './field';
import { FieldFrame } from './frame';

/** Keep the text that is typed, as long as it means the value. */
function useTyped(value: Json | undefined, show: (value: Json | undefined) => string) {
  const [typed, setTyped] = useState<{ readonly text: string; readonly value: Json | undefined; readonly fault: string | null } | null>(null);
  const isCurrent = typed !== null && (typed.fault !== null || isEqual(typed.value, value));
  return { text: isCurrent ? typed.text : show(value), fault: isCurrent ? typed.fault : null, setTyped };
}

export function NumberField({ shape, path, isRequired, value, onChange }: Shaped<'number'>) {
  const { text, fault, setTyped } = useTyped(value, (one) => (one === undefined || one === null ? '' : String(one)));
  const change = (next: string) => {
    const number = Number(next);
    const isGood = next.trim() !== '' && Number.isFinite(number) && (!shape.isInteger || Number.isInteger(number));
    if (next.trim() === '') {
      setTyped(null);
      onChange(undefined);
    } else if (isGood) {
      setTyped({ text: next, value: number, fault: null });
      onChange(number);
    } else {
      setTyped({ text: next, value, fault: shape.isInteger ? 'This is no whole number.' : 'This is no number.' });
    }
  };
  const range = shape.minimum === null || shape.maximum === null ? '' : `${shape.minimum} to ${shape.maximum}`;
  const preset = typeof shape.preset === 'number' ? String(shape.preset) : range;
  return (
    <FieldFrame shape={shape} path={path} isRequired={isRequired} fault={fault}>
      {({ id, describedBy, isInvalid }) => (
        <input
          id={id}
          className="input"
          inputMode={shape.isInteger ? 'numeric' : 'decimal'}
          autoComplete="off"
          placeholder={preset}
          aria-describedby={describedBy}
          aria-invalid={isInvalid}
          value={text}
          onChange={(event) => change(event.target.value)}
        />
      )}
    </FieldFrame>
  );
}

/** A text stands for itself unless it reads as JSON: so that `{{ input }}` needs no quotes. */
export function textOfJson(value: Json | undefined, isTemplate: boolean): string {
  if (value === undefined || (value === null && !isTemplate)) return '';
  if (isTemplate && typeof value === 'string' && parsed(value) === undefined) return value;
  return JSON.stringify(value, null, 2);
}

export function jsonOfText(text: string, isTemplate: boolean): Json | undefined {
  const value = parsed(text);
  return value === undefined && isTemplate ? text : value;
}

function parsed(text: string): Json | undefined {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return undefined;
  }
}

export function JsonField({ shape, path, isRequired, value, onChange }: Shaped<'json'>) {
  const { Text } = useForm();
  const { text, fault, setTyped } = useTyped(value, (one) => textOfJson(one, shape.isTemplate));
  const change = (next: string) => {
    if (next.trim() === '') {
      setTyped(null);
      onChange(undefined);
      return;
    }
    const json = jsonOfText(next, shape.isTemplate);
    setTyped({ text: next, value: json ?? value, fault: json === undefined ? 'This is not JSON yet.' : null });
    if (json !== undefined) onChange(json);
  };
  return (
    <FieldFrame shape={shape} path={path} isRequired={isRequired} fault={fault}>
      {({ id, describedBy, isInvalid }) => (
        <Text
          id={id}
          value={text}
          onChange={change}
          isLong
          isTemplate={shape.isTemplate}
          isExpression={false}
          isSecret={shape.isSecret}
          isCode
          isInvalid={isInvalid}
          describedBy={describedBy}
          placeholder={shape.isTemplate ? 'A text, a template or JSON' : 'JSON'}
        />
      )}
    </FieldFrame>
  );
}
