/** The keys of the editor. */

const KEYS = [
  ['A or Ctrl+K', 'Add a node, or do anything else by its name'],
  ['C', 'Connect the selected node to another one'],
  ['Tab, Enter', 'Go from node to node, select one'],
  ['Arrow keys', 'Move the selected node'],
  ['Delete', 'Remove the selected node or edge'],
  ['Ctrl+C, Ctrl+V, Ctrl+D', 'Copy, paste, duplicate a node'],
  ['Ctrl+Z, Ctrl+Shift+Z', 'Undo, redo'],
  ['Ctrl+Space', 'Offer names in an expression'],
  ['Escape', 'Select nothing'],
  ['?', 'This list'],
] as const;

export function Shortcuts() {
  return (
    <dl className="shortcuts">
      {KEYS.map(([key, does]) => (
        <div key={key}>
          <dt>
            <kbd>{key}</kbd>
          </dt>
          <dd>{does}</dd>
        </div>
      ))}
    </dl>
  );
}
