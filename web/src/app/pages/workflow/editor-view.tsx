/** The editor's parts, and the keys that work everywhere in it. */

import { useEffect, useRef } from 'react';
import { copying, removing, disconnecting } from '../../editor/gestures';
import { type DraftNode, nodeOf } from '../../editor/model';
import { Canvas } from './canvas';
import { CommandMenus } from './command-menus';
import { Conflicts } from './conflicts';
import { Dialogs } from './dialogs';
import { Notices } from './notices';
import { Palette } from './palette';
import { SidePanel } from './side-panel';
import { Toolbar } from './toolbar';
import { useLeaveGuard } from './use-leave-guard';
import { useWorkbench, type Workbench } from './workbench';

export function EditorView({ publications }: { readonly publications: number }) {
  const workbench = useWorkbench();
  useKeys(workbench);
  useLeaveGuard(workbench.state);
  return (
    <div className="editor">
      <Toolbar publications={publications} />
      <Conflicts />
      <div className="editor-body" data-reading={!workbench.mayEdit}>
        {workbench.mayEdit && <Palette />}
        <Canvas />
        <SidePanel publications={publications} />
      </div>
      <CommandMenus />
      <Dialogs />
      <Notices />
    </div>
  );
}

/** Listen to the whole window: the focus may be nowhere, as after a node was removed. */
function useKeys(workbench: Workbench): void {
  const copied = useRef<DraftNode | null>(null);
  const latest = useRef(workbench);
  latest.current = workbench;
  useEffect(() => {
    const listen = (event: KeyboardEvent) => onKey(event, latest.current, copied);
    window.addEventListener('keydown', listen);
    return () => window.removeEventListener('keydown', listen);
  }, []);
}

function onKey(event: KeyboardEvent, workbench: Workbench, copied: { current: DraftNode | null }): void {
  if (event.defaultPrevented || !workbench.mayEdit) return;
  const does = event.ctrlKey || event.metaKey ? withControl(event, workbench, copied) : plainly(event, workbench);
  if (!does) return;
  event.preventDefault();
  does();
}

type Does = (() => void) | null;

function isTyping({ target }: KeyboardEvent): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}

function withControl(event: KeyboardEvent, { sync, state, places, selection, perform, open }: Workbench, copied: { current: DraftNode | null }): Does {
  const node = selection?.type === 'node' ? nodeOf(state.shown, selection.key) : undefined;
  const key = event.key.toLowerCase();
  if (document.querySelector('dialog[open]')) return null;
  if (key === 'k') return () => open({ type: 'menu' });
  // In a field the browser's own undo and clipboard are meant.
  if (isTyping(event)) return null;
  if (key === 'z') return () => sync.dispatch({ type: event.shiftKey ? 'redone' : 'undone' });
  if (key === 'y') return () => sync.dispatch({ type: 'redone' });
  if (key === 'd' && node) return () => perform(copying(state.shown, places, node));
  if (key === 'c' && node && !window.getSelection()?.toString()) return () => void (copied.current = node);
  const { current } = copied;
  if (key === 'v' && current) return () => perform(copying(state.shown, places, current));
  return null;
}

function plainly(event: KeyboardEvent, { state, selection, select, perform, open }: Workbench): Does {
  if (isTyping(event) || event.altKey || document.querySelector('dialog[open]')) return null;
  switch (event.key) {
    case 'a':
      return () => open({ type: 'menu' });
    case 'c':
      return selection?.type === 'node' ? () => open({ type: 'connect', source: selection.key }) : null;
    case '?':
      return () => open({ type: 'shortcuts' });
    case 'Escape':
      return selection ? () => select(null) : null;
    case 'Delete':
    case 'Backspace':
      if (selection?.type === 'node') return () => perform(removing(state.shown, selection.key));
      return selection?.type === 'edge' ? () => perform(disconnecting(selection.edge)) : null;
    default:
      return null;
  }
}
