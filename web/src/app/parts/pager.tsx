/** Going through a list page by page. */

interface PagerProps {
  readonly what: string;
  /** How many come before those that are shown. */
  readonly from: number;
  readonly shown: number;
  readonly total: number;
  readonly onBack: (() => void) | null;
  readonly onOn: (() => void) | null;
}

export function Pager({ what, from, shown, total, onBack, onOn }: PagerProps) {
  if (!onBack && !onOn) return null;
  return (
    <nav className="actions pager" aria-label={`Pages of ${what}`}>
      <button type="button" className="button compact" disabled={!onBack} onClick={onBack ?? undefined}>
        Back
      </button>
      <span className="muted small">{`${shown === 0 ? 0 : from + 1}–${from + shown} of ${total}`}</span>
      <button type="button" className="button compact" disabled={!onOn} onClick={onOn ?? undefined}>
        On
      </button>
    </nav>
  );
}
