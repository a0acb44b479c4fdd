/** How many items of a list are done. */

import { lookOf } from '../../../parts/status';
import type { NodeView } from '../run-view';

export function ItemProgress({ node: { status, itemsDone, itemCount } }: { readonly node: NodeView }) {
  const [done, total] = [itemsDone ?? 0, itemCount ?? 0];
  return (
    <div className={`item-progress tone-${lookOf(status).tone}`}>
      <div className="progress" role="progressbar" aria-label="Items done" aria-valuemin={0} aria-valuemax={total} aria-valuenow={done}>
        <div style={{ width: `${(done / Math.max(1, total)) * 100}%` }} />
      </div>
      <span className="muted small">{`${done} of ${itemCount ?? '?'} items`}</span>
    </div>
  );
}
