/** Two texts, line by line: what is gone and what is new. */

import { lineDiff } from '../../editor/line-diff';

const WORDS = { '-': 'removed', '+': 'added', ' ': '' } as const;
const TONES = { '-': 'diff-gone', '+': 'diff-new', ' ': '' } as const;

export function TextDiff({ before, after }: { readonly before: string | null; readonly after: string | null }) {
  return (
    <pre className="text-diff" tabIndex={0}>
      {lineDiff(before, after).map(({ sign, text }, index) => (
        <span key={index} className={TONES[sign]}>
          {WORDS[sign] !== '' && <span className="visually-hidden">{WORDS[sign]}: </span>}
          <span aria-hidden="true">{sign} </span>
          {text === '' ? ' ' : text}
          {'\n'}
        </span>
      ))}
    </pre>
  );
}
