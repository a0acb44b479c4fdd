/** The buttons that copy the operation at the cursor for other programs. */

import { ToolbarButton, tryParseJSONC, useGraphiQL } from '@graphiql/react';
import type { GraphQLSchema } from 'graphql';
import { useEffect, useRef, useState } from 'react';
import { createPortal } from 'react-dom';
import { ENDPOINT } from './api';
import { curlOf } from './curl';
import { fill } from './examples';
import { type Request, requestOf } from './request';
import { typescriptOf } from './typescript';

const SHOWN_MS = 3000;

interface Form {
  readonly name: string;
  /** What the button shows in the place of a picture. */
  readonly sign: string;
  readonly write: (request: Request, endpoint: string, schema: GraphQLSchema | null) => string;
}

const FORMS: readonly Form[] = [
  { name: 'curl', sign: 'curl', write: curlOf },
  { name: 'TypeScript', sign: 'TS', write: typescriptOf },
];

/** What is said about the last copy: done, to be copied by hand, or not possible. */
interface Said {
  readonly title: string;
  /** What the clipboard did not take. */
  readonly text?: string;
  readonly problem?: string;
}

export function CopyButtons() {
  const [said, setSaid] = useState<Said | null>(null);
  const state = useGraphiQL(({ queryEditor, variableEditor, headerEditor, operationName, schema }) => ({
    queryEditor,
    variableEditor,
    headerEditor,
    operationName,
    schema,
  }));

  const copy = async ({ name, write }: Form) => {
    try {
      const { queryEditor, variableEditor, headerEditor, operationName, schema } = state;
      const position = queryEditor?.getPosition();
      const request = requestOf({
        query: queryEditor?.getValue() ?? '',
        offset: (position && queryEditor?.getModel()?.getOffsetAt(position)) ?? 0,
        operationName: operationName ?? null,
        variables: fill(objectIn('variables', variableEditor?.getValue())),
        headers: objectIn('headers', headerEditor?.getValue()),
      });
      const text = write(request, window.location.origin + ENDPOINT, schema ?? null);
      setSaid((await isTaken(text)) ? { title: `Copied as ${name}` } : { title: `Copy as ${name}`, text });
    } catch (error) {
      setSaid({ title: `Not copied as ${name}`, problem: error instanceof Error ? error.message : String(error) });
    }
  };

  return (
    <>
      {FORMS.map((form) => (
        <ToolbarButton key={form.name} label={`Copy as ${form.name}`} className="copy-as" onClick={() => void copy(form)}>
          <span data-sign={form.sign} />
        </ToolbarButton>
      ))}
      {createPortal(<Outcome said={said} onDone={() => setSaid(null)} />, document.body)}
    </>
  );
}

function objectIn(what: string, text: string | undefined): Record<string, unknown> {
  try {
    return (tryParseJSONC(text) as Record<string, unknown> | undefined) ?? {};
  } catch (error) {
    throw new Error(`The ${what} ${error instanceof Error ? error.message : error}`);
  }
}

/** Put a text on the clipboard; false where the browser does not let pages do it. */
async function isTaken(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

function Outcome({ said, onDone }: { readonly said: Said | null; readonly onDone: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const area = useRef<HTMLTextAreaElement>(null);
  const isDone = said !== null && said.text === undefined && said.problem === undefined;
  useEffect(() => {
    if (isDone) {
      const timer = setTimeout(onDone, SHOWN_MS);
      return () => clearTimeout(timer);
    }
    if (said) dialog.current?.showModal();
    area.current?.select();
    return undefined;
  }, [said]);
  return (
    <>
      <div role="status" className="copied">
        {isDone ? said.title : ''}
      </div>
      {said && !isDone && (
        <dialog ref={dialog} className="account-dialog copy-dialog" aria-label={said.title} onClose={onDone}>
          <h2>{said.title}</h2>
          {said.problem === undefined ? (
            <>
              <p>The browser does not let this page use the clipboard. The text is selected: copy it with Ctrl+C.</p>
              <textarea ref={area} readOnly rows={14} spellCheck={false} aria-label="Text to copy" value={said.text} />
            </>
          ) : (
            <p role="alert">{said.problem}</p>
          )}
          <button type="button" className="quiet" onClick={() => dialog.current?.close()}>
            Close
          </button>
        </dialog>
      )}
    </>
  );
}
