/** `/`: the workflows of a workspace, what its runs ask, and recent runs as they happen. */

import './home.css';
import { useState } from 'react';
import { useTitle } from '../../parts/title';
import { CHOSEN_WORKSPACE, type Me } from '../../shell/gate';
import { Inbox } from './inbox';
import { RecentRuns } from './recent-runs';
import { Workflows } from './workflows';

export function HomePage({ me }: { readonly me: Me }) {
  useTitle('Workflows');
  const workspaces = me.workspaces.nodes;
  const [chosen, setChosen] = useState(() => window.localStorage.getItem(CHOSEN_WORKSPACE));
  const workspace = workspaces.find(({ id }) => id === chosen) ?? workspaces[0];
  if (!workspace) return <p className="narrow">You are not a member of any workspace.</p>;
  const choose = (id: string) => {
    window.localStorage.setItem(CHOSEN_WORKSPACE, id);
    setChosen(id);
  };
  return (
    <div className="home">
      <div className="home-head">
        <h1>{workspace.name}</h1>
        {workspaces.length > 1 && (
          <label className="home-choice">
            <span className="muted">Workspace</span>
            <select className="input" value={workspace.id} onChange={(event) => choose(event.target.value)}>
              {workspaces.map(({ id, name }) => (
                <option key={id} value={id}>
                  {name}
                </option>
              ))}
            </select>
          </label>
        )}
      </div>
      <div className="home-columns">
        <Workflows key={`workflows ${workspace.id}`} workspaceId={workspace.id} mayEdit={workspace.role !== 'VIEWER'} />
        <div className="home-side">
          <Inbox key={`inbox ${workspace.id}`} workspaceId={workspace.id} />
          <RecentRuns key={`runs ${workspace.id}`} workspaceId={workspace.id} />
        </div>
      </div>
    </div>
  );
}
