/** What leads to a node and where it leads: edges for those who do not use the canvas. */

import { connectionsOf, disconnecting } from '../../editor/gestures';
import type { DraftNode } from '../../editor/model';
import { useWorkbench } from './workbench';

export function Connections({ node }: { readonly node: DraftNode }) {
  const { state, perform, select, open } = useWorkbench();
  const connections = connectionsOf(state.shown, node.key);
  return (
    <section aria-label="Connections" className="form-section">
      <h3>Connections</h3>
      <ul className="connections">
        {connections.map(({ edge, isIncoming }) => {
          const other = isIncoming ? edge.source : edge.target;
          return (
            <li key={`${edge.source}:${edge.sourcePort}>${edge.target}`}>
              <span className="muted">{isIncoming ? 'from' : 'to'}</span>
              <button type="button" className="button quiet compact mono" onClick={() => select({ type: 'node', key: other })}>
                {other}
              </button>
              {edge.sourcePort !== 'out' && <span className="muted small">port {edge.sourcePort}</span>}
              <button
                type="button"
                className="button quiet icon compact"
                aria-label={`Disconnect ${edge.source} from ${edge.target}`}
                onClick={() => perform(disconnecting(edge))}
              >
                ✕
              </button>
            </li>
          );
        })}
      </ul>
      <div className="actions">
        <button type="button" className="button compact" onClick={() => open({ type: 'connect', source: node.key })}>
          Connect to…
        </button>
      </div>
    </section>
  );
}
