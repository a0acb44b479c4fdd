/** Any JSON, to be folded and copied. */

import { useState } from 'react';

const MOST_SHOWN = 200;
const OPEN_DEPTH = 2;

export function JsonView({ value, label }: { readonly value: unknown; readonly label: string }) {
  return (
    <section aria-label={label} className="json-view">
      <div className="actions end">
        <CopyButton text={() => (typeof value === 'string' ? value : JSON.stringify(value, null, 2))} what={label} />
      </div>
      <div className="json" tabIndex={0} role="group" aria-label={`${label}, as JSON`}>
        <Value value={value} depth={0} />
      </div>
    </section>
  );
}

interface CopyButtonProps {
  readonly text: () => string;
  readonly what: string;
  readonly title?: string;
}

export function CopyButton({ text, what, title = 'Copy' }: CopyButtonProps) {
  const [said, setSaid] = useState<string | null>(null);
  const copy = async () => {
    setSaid(await writeClipboard(text()));
    setTimeout(() => setSaid(null), 2_000);
  };
  return (
    <button type="button" className="button compact quiet" onClick={copy} aria-label={`Copy ${what.toLowerCase()}`}>
      <span aria-live="polite">{said ?? title}</span>
    </button>
  );
}

async function writeClipboard(text: string): Promise<string> {
  try {
    await navigator.clipboard.writeText(text);
    return 'Copied';
  } catch {
    // Over plain HTTP from another machine there is no clipboard.
    return 'Not allowed here';
  }
}

function Value({ value, depth }: { readonly value: unknown; readonly depth: number }) {
  if (Array.isArray(value)) {
    return <Folded open="[" close="]" entries={value.map((each, index) => [String(index), each])} depth={depth} isList />;
  }
  if (value !== null && typeof value === 'object') {
    return <Folded open="{" close="}" entries={Object.entries(value)} depth={depth} isList={false} />;
  }
  if (typeof value === 'string') return <span className="string">{JSON.stringify(value).replaceAll('\\n', '\n')}</span>;
  return <span className="literal">{String(value)}</span>;
}

interface FoldedProps {
  readonly open: string;
  readonly close: string;
  readonly entries: readonly (readonly [string, unknown])[];
  readonly depth: number;
  readonly isList: boolean;
}

function Folded({ open, close, entries, depth, isList }: FoldedProps) {
  // What is folded is not made: an output may have a hundred thousand values.
  const [isOpen, setOpen] = useState(depth < OPEN_DEPTH && entries.length <= MOST_SHOWN);
  const [most, setMost] = useState(MOST_SHOWN);
  if (entries.length === 0) return <span>{open + close}</span>;
  return (
    <details open={isOpen} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>
        {open}
        {!isOpen && <span className="muted">{` ${entries.length} ${isList ? 'items' : 'fields'} ${close}`}</span>}
      </summary>
      {isOpen && (
        <div>
          {entries.slice(0, most).map(([key, each]) => (
            <div key={key}>
              {!isList && <span className="key">{key}: </span>}
              <Value value={each} depth={depth + 1} />
            </div>
          ))}
          {entries.length > most && (
            <button type="button" className="button compact" onClick={() => setMost(most + MOST_SHOWN)}>
              {`${entries.length - most} more`}
            </button>
          )}
        </div>
      )}
      {isOpen && <span>{close}</span>}
    </details>
  );
}
