/** Asks before an editor is left in which something is not saved, by whatever way. */

import { useEffect } from 'react';
import type { EditorState } from '../../editor/state';
import { unsavedIn } from '../../editor/unsaved';
import { leaving } from '../../parts/leaving';
import { useIsTyping } from './use-buffered';

export function useLeaveGuard(state: EditorState): void {
  const isTyping = useIsTyping();
  const reason = unsavedIn(state);
  useEffect(() => (reason === null ? undefined : leaving.hold(reason, window.location.pathname)), [reason]);
  const isUnsaved = reason !== null || isTyping;
  useEffect(() => {
    if (!isUnsaved) return undefined;
    const ask = (event: BeforeUnloadEvent) => event.preventDefault();
    window.addEventListener('beforeunload', ask);
    return () => window.removeEventListener('beforeunload', ask);
  }, [isUnsaved]);
}
