/** A text without help. */

import type { TextProps } from './context';

export function PlainText({ id, value, onChange, isLong, isCode, isInvalid, describedBy, placeholder, inputType, list }: TextProps) {
  const shared = {
    id,
    value,
    placeholder,
    'aria-invalid': isInvalid,
    'aria-describedby': describedBy,
    onChange: (event: { readonly target: { readonly value: string } }) => onChange(event.target.value),
  };
  if (isLong) return <textarea {...shared} className={`input grows ${isCode ? 'mono' : ''}`} rows={1} spellCheck={false} />;
  return <input {...shared} className="input" type={inputType ?? 'text'} list={list} autoComplete="off" spellCheck={false} />;
}
