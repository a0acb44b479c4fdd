/** A text with expressions: names are offered while one types, and what it gives can be seen before it runs. */

import { createContext, type KeyboardEvent, useContext, useEffect, useRef, useState } from 'react';
import { useQuery } from 'urql';
import { type Completion, completed, completionAt, type Name } from '../../editor/completion';
import type { TextProps } from '../../forms/context';
import { PlainText } from '../../forms/plain-text';
import { PreviewTemplateDocument } from '../../generated/graphql';
import { tellError } from '../../parts/errors';
import { JsonView } from '../../parts/json-view';

export interface TemplateScope {
  readonly workflowId: string;
  readonly nodeKey: string;
  readonly names: readonly Name[];
}

export const TemplateScopeContext = createContext<TemplateScope | null>(null);

export function TemplateText(props: TextProps) {
  const scope = useContext(TemplateScopeContext);
  if (!scope || !(props.isTemplate || props.isExpression)) return <PlainText {...props} />;
  return <Assisted {...props} scope={scope} />;
}

function Assisted({ scope, ...props }: TextProps & { readonly scope: TemplateScope }) {
  const { id, value, onChange, isExpression, isSecret, isInvalid, describedBy, placeholder } = props;
  const names = isSecret ? scope.names : scope.names.filter(({ path }) => !path.startsWith('secrets.'));
  const element = useRef<HTMLTextAreaElement>(null);
  const [completion, setCompletion] = useState<Completion | null>(null);
  const [place, setPlace] = useState(0);
  const offer = (text: string, caret: number) => {
    setCompletion(completionAt(text, caret, names, isExpression));
    setPlace(0);
  };
  const take = (name: Name) => {
    const area = element.current;
    if (!completion || !area) return;
    const done = completed(value, area.selectionStart, completion, name, isExpression);
    onChange(done.text);
    setCompletion(null);
    // The caret can be set once the text is there.
    requestAnimationFrame(() => {
      area.focus();
      area.setSelectionRange(done.caret, done.caret);
    });
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === ' ' && event.ctrlKey && element.current) offer(value, element.current.selectionStart);
    else if (!completion) return;
    else if (event.key === 'ArrowDown') setPlace((place + 1) % completion.options.length);
    else if (event.key === 'ArrowUp') setPlace((place - 1 + completion.options.length) % completion.options.length);
    else if (event.key === 'Enter' || event.key === 'Tab') take(completion.options[place] as Name);
    else if (event.key === 'Escape') setCompletion(null);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <div className="template">
      <textarea
        ref={element}
        id={id}
        className="input grows mono"
        rows={1}
        spellCheck={false}
        value={value}
        placeholder={placeholder ?? (isExpression ? 'An expression' : undefined)}
        aria-invalid={isInvalid}
        aria-describedby={describedBy}
        aria-autocomplete="list"
        aria-controls={completion ? `${id}-names` : undefined}
        aria-activedescendant={completion ? `${id}-name-${place}` : undefined}
        onChange={(event) => {
          onChange(event.target.value);
          offer(event.target.value, event.target.selectionStart);
        }}
        onKeyDown={onKeyDown}
        onBlur={() => setCompletion(null)}
      />
      {completion && <Offers id={id} completion={completion} place={place} onTake={take} />}
      {value.includes('{{') || isExpression ? <Preview scope={scope} template={isExpression ? `{{ ${value} }}` : value} /> : null}
    </div>
  );
}

interface OffersProps {
  readonly id: string;
  readonly completion: Completion;
  readonly place: number;
  readonly onTake: (name: Name) => void;
}

function Offers({ id, completion, place, onTake }: OffersProps) {
  return (
    <ul id={`${id}-names`} className="offers" role="listbox" aria-label="Names">
      {completion.options.map((name, index) => (
        <li
          key={name.path}
          id={`${id}-name-${index}`}
          role="option"
          aria-selected={index === place}
          // The field keeps the focus.
          onMouseDown={(event) => {
            event.preventDefault();
            onTake(name);
          }}
        >
          <code>{name.path}</code>
          <span className="muted small">{name.description}</span>
        </li>
      ))}
    </ul>
  );
}

const TYPED_MS = 400;

function Preview({ scope, template }: { readonly scope: TemplateScope; readonly template: string }) {
  const [isOpen, setOpen] = useState(false);
  const [settled, setSettled] = useState(template);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(template), TYPED_MS);
    return () => clearTimeout(timer);
  }, [template]);
  const { workflowId, nodeKey } = scope;
  const [{ data, error }] = useQuery({
    query: PreviewTemplateDocument,
    variables: { input: { workflowId, nodeKey, template: settled } },
    requestPolicy: 'network-only',
    pause: !isOpen,
  });
  const result = data?.previewTemplate;
  return (
    <details className="preview" open={isOpen} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>Preview with the latest run</summary>
      {error && <p className="tone-failed preview-error">{tellError(error)}</p>}
      {result?.error && (
        <p className="tone-failed preview-error">
          {result.error.message} {result.error.hint}
        </p>
      )}
      {result && !result.error && <JsonView value={result.value} label="Preview" />}
    </details>
  );
}
