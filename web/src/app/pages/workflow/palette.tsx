/** The kinds of nodes, to be dragged onto the canvas or added with a key. */

import { adding } from '../../editor/gestures';
import { KindSign } from '../../graph/kinds';
import { KIND_TYPE } from './canvas';
import { useWorkbench } from './workbench';

export function Palette() {
  const { kinds, state, places, perform } = useWorkbench();
  return (
    <nav className="editor-palette" aria-label="Kinds of nodes">
      <ul>
        {kinds.map((kind) => (
          <li key={kind.name}>
            <button
              type="button"
              className="palette-kind"
              title={kind.description}
              aria-label={`Add ${kind.title}`}
              draggable
              onDragStart={(event) => {
                event.dataTransfer.setData(KIND_TYPE, kind.name);
                event.dataTransfer.effectAllowed = 'copy';
              }}
              onClick={() => perform(adding(state.shown, places, kind, {}))}
            >
              <KindSign kind={kind.kind} size={18} />
              <span>{kind.title}</span>
            </button>
          </li>
        ))}
      </ul>
    </nav>
  );
}
