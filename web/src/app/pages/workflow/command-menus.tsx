/** The menus of the editor: everything that can be done, and where a node can lead to. */

import { useMemo } from 'react';
import { adding, arranging, connecting, removing } from '../../editor/gestures';
import { nodeOf } from '../../editor/model';
import { targetsOf } from '../../editor/wiring';
import { KindSign } from '../../graph/kinds';
import { place } from '../../graph/layout';
import { type Command, CommandMenu } from './command-menu';
import { useWorkbench, type Workbench } from './workbench';

export function CommandMenus() {
  const workbench = useWorkbench();
  const { opened, open } = workbench;
  const close = () => open(null);
  const commands = useMemo(() => (opened?.type === 'menu' ? allCommands(workbench) : []), [opened, workbench]);
  const targets = useMemo(() => (opened?.type === 'connect' ? targetCommands(workbench, opened.source) : []), [opened, workbench]);
  const source = opened?.type === 'connect' ? opened.source : '';
  return (
    <>
      <CommandMenu title="Add or do" isOpen={opened?.type === 'menu'} onClose={close} commands={commands} />
      <CommandMenu title={`Connect “${source}” to…`} isOpen={opened?.type === 'connect'} onClose={close} commands={targets} />
    </>
  );
}

function allCommands(workbench: Workbench): readonly Command[] {
  const { opened, selection } = workbench;
  const at = opened?.type === 'menu' ? opened.at : undefined;
  const isDropped = opened?.type === 'menu' && opened.after !== undefined;
  const additions = additionCommands(workbench, at);
  if (isDropped) return additions;
  const key = selection?.type === 'node' ? selection.key : null;
  return [...additions, ...(key === null ? [] : nodeCommands(workbench, key)), ...pageCommands(workbench), ...nodesToVisit(workbench)];
}

function additionCommands({ kinds, state, places, selection, opened, perform }: Workbench, at: { x: number; y: number } | undefined): readonly Command[] {
  const selected = selection?.type === 'node' ? nodeOf(state.shown, selection.key) : undefined;
  const [port] = selected?.ports ?? [];
  const chosen = selected && port !== undefined ? { source: selected.key, sourcePort: port } : undefined;
  const after = (opened?.type === 'menu' ? opened.after : undefined) ?? chosen;
  return kinds.map((kind) => ({
    id: `add-${kind.name}`,
    title: after ? `Add ${kind.title} after ${after.source}` : `Add ${kind.title}`,
    detail: kind.description.split('. ')[0] ?? '',
    sign: <KindSign kind={kind.kind} />,
    run: () => perform(adding(state.shown, places, kind, { at, after })),
  }));
}

function nodeCommands({ state, perform, open }: Workbench, key: string): readonly Command[] {
  return [
    // The first dialog gives the focus back before the next one takes it.
    { id: 'connect', title: `Connect ${key} to…`, detail: 'C', run: () => setTimeout(() => open({ type: 'connect', source: key })) },
    { id: 'remove', title: `Remove ${key}`, detail: 'Delete', run: () => perform(removing(state.shown, key)) },
  ];
}

function pageCommands({ sync, state, places, kindOf, perform, open }: Workbench): readonly Command[] {
  const arrange = () => {
    const loose = state.shown.nodes.map((node) => ({ key: node.key, kind: kindOf(node), position: null }));
    perform(arranging(state.shown, places, place(loose, state.shown.edges)));
  };

  const later = (type: 'run' | 'publish' | 'export' | 'import' | 'settings' | 'shortcuts') => () => setTimeout(() => open({ type }));
  return [
    { id: 'run', title: 'Run…', run: later('run') },
    { id: 'publish', title: 'Publish…', run: later('publish') },
    { id: 'undo', title: 'Undo', detail: 'Ctrl+Z', run: () => sync.dispatch({ type: 'undone' }) },
    { id: 'redo', title: 'Redo', detail: 'Ctrl+Shift+Z', run: () => sync.dispatch({ type: 'redone' }) },
    { id: 'arrange', title: 'Arrange in layers', run: arrange },
    { id: 'settings', title: 'Settings and input…', run: later('settings') },
    { id: 'export', title: 'Export as a file…', run: later('export') },
    { id: 'import', title: 'Import a file…', run: later('import') },
    { id: 'shortcuts', title: 'Keyboard shortcuts', detail: '?', run: later('shortcuts') },
  ];
}

function nodesToVisit({ state, select, kindOf }: Workbench): readonly Command[] {
  return state.shown.nodes.map((node) => ({
    id: `visit-${node.key}`,
    title: `Go to ${node.key}`,
    detail: node.name ?? '',
    sign: <KindSign kind={kindOf(node)} />,
    run: () => select({ type: 'node', key: node.key }),
  }));
}

function targetCommands({ state, kindOf, perform }: Workbench, source: string): readonly Command[] {
  const ports = nodeOf(state.shown, source)?.ports ?? [];
  return ports.flatMap((sourcePort) =>
    targetsOf(state.shown, source, sourcePort).map((node) => ({
      id: `${sourcePort}-${node.key}`,
      title: ports.length > 1 ? `${node.key}, from ${sourcePort}` : node.key,
      detail: node.name ?? '',
      sign: <KindSign kind={kindOf(node)} />,
      run: () => perform(connecting(state.shown, { source, sourcePort, target: node.key })),
    })),
  );
}
