/** A list of things to do, found by typing. */

import { type KeyboardEvent, type ReactNode, useEffect, useId, useRef, useState } from 'react';
import { Dialog } from '../../parts/dialog';

export interface Command {
  readonly id: string;
  readonly title: string;
  readonly detail?: string;
  readonly sign?: ReactNode;
  readonly run: () => void;
}

interface CommandMenuProps {
  readonly title: string;
  readonly isOpen: boolean;
  readonly onClose: () => void;
  readonly commands: readonly Command[];
}

export function CommandMenu({ title, isOpen, onClose, commands }: CommandMenuProps) {
  return (
    <Dialog title={title} isOpen={isOpen} onClose={onClose}>
      <CommandList title={title} commands={commands} onClose={onClose} />
    </Dialog>
  );
}

/** Commands that have all words, those that begin with them first. */
export function matching(commands: readonly Command[], typed: string): readonly Command[] {
  const words = typed.toLowerCase().split(/\s+/).filter(Boolean);
  const rank = ({ title, detail = '' }: Command) => {
    const text = `${title} ${detail}`.toLowerCase();
    if (!words.every((word) => text.includes(word))) return -1;
    return words.filter((word) => title.toLowerCase().includes(word)).length;
  };
  return commands
    .map((command) => ({ command, rank: rank(command) }))
    .filter((one) => one.rank >= 0)
    .sort((a, b) => b.rank - a.rank)
    .map((one) => one.command);
}

function CommandList({ title, commands, onClose }: Omit<CommandMenuProps, 'isOpen'>) {
  const [typed, setTyped] = useState('');
  const [place, setPlace] = useState(0);
  const id = useId();
  const list = useRef<HTMLUListElement>(null);
  const found = matching(commands, typed);
  const current = Math.min(place, found.length - 1);
  useEffect(() => {
    list.current?.children[current]?.scrollIntoView({ block: 'nearest' });
  }, [current]);
  const choose = (command: Command | undefined) => {
    if (!command) return;
    onClose();
    command.run();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const step = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0;
    if (step !== 0) setPlace((current + step + found.length) % Math.max(1, found.length));
    else if (event.key === 'Enter') choose(found[current]);
    else return;
    event.preventDefault();
  };
  return (
    <div className="command-menu">
      <input
        className="input"
        role="combobox"
        aria-label={title}
        aria-expanded
        aria-controls={id}
        aria-activedescendant={found[current] ? `${id}-${found[current].id}` : undefined}
        aria-autocomplete="list"
        autoComplete="off"
        placeholder="Type to find"
        value={typed}
        onKeyDown={onKeyDown}
        onChange={(event) => {
          setTyped(event.target.value);
          setPlace(0);
        }}
      />
      <ul ref={list} id={id} role="listbox" aria-label={title}>
        {found.map((command, index) => (
          <li
            key={command.id}
            id={`${id}-${command.id}`}
            role="option"
            aria-selected={index === current}
            onMouseMove={() => setPlace(index)}
            onClick={() => choose(command)}
          >
            <span className="command-sign">{command.sign}</span>
            <span>{command.title}</span>
            <span className="muted small">{command.detail}</span>
          </li>
        ))}
      </ul>
      {found.length === 0 && <p className="muted">Nothing has these words.</p>}
    </div>
  );
}
