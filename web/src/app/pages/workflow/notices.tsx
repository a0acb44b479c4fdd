/** What others did, told in passing. */

import { useEffect, useRef } from 'react';
import { useAnnouncer } from '../../parts/announce';
import { useWorkbench } from './workbench';

const HAS_FORM: ReadonlySet<string> = new Set(['update', 'rename', 'configure']);

export function Notices() {
  const { state, sync } = useWorkbench();
  const { toast } = useAnnouncer();
  const last = useRef(0);
  useEffect(() => {
    for (const { id, text } of state.notices) {
      if (id > last.current) {
        last.current = id;
        toast(text, 'running');
      }
      sync.dispatch({ type: 'read', id });
    }
  }, [state.notices, sync, toast]);
  const { refusal } = state;
  useEffect(() => {
    // What has no field to be shown at is told, and is over.
    if (!refusal || HAS_FORM.has(refusal.edit.type)) return;
    toast(refusal.errors.map(({ message, hint }) => [message, hint].filter(Boolean).join(' ')).join(' '), 'failed');
    sync.dispatch({ type: 'dropped' });
  }, [refusal, sync, toast]);
  return null;
}
