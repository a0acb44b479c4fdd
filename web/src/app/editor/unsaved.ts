/** What would be lost with an editor that is left. */

import type { EditorState } from './state';

/** Tell what is not on the server, in one sentence; null where everything is. */
export function unsavedIn({ pending, conflicts, refusal }: EditorState): string | null {
  if (refusal) return 'Your last change has a fault and is not saved.';
  if (conflicts.length > 0) return 'You have not chosen between your change and that of someone else: yours is not saved.';
  return pending.length > 0 ? 'Your last changes are not saved yet.' : null;
}
