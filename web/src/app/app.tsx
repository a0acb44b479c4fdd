/** All pages: who is signed in, the frame around them, and which address shows which. */

import { useCallback, useEffect, useMemo, useState } from 'react';
import { Provider } from 'urql';
import { Route, Switch } from 'wouter';
import { openApi } from './api/client';
import { ApiContext } from './api/context';
import { HomePage } from './pages/home/home-page';
import { NotFound } from './pages/not-found';
import { RunPage } from './pages/run/run-page';
import { WorkflowPage } from './pages/workflow/workflow-page';
import { Announcements } from './parts/announce';
import { Boundary } from './parts/errors';
import { Gate } from './shell/gate';
import { Shell } from './shell/shell';

export function App({ invite }: { readonly invite: string | null }) {
  const [epoch, setEpoch] = useState(0);
  const [openInvite, setOpenInvite] = useState(invite);
  const startAnew = useCallback(() => setEpoch((last) => last + 1), []);
  const api = useMemo(() => openApi(startAnew), [epoch, startAnew]);
  useEffect(() => () => api.close(), [api]);
  return (
    <Announcements>
      <ApiContext.Provider value={api}>
        <Provider value={api.client} key={epoch}>
          <Gate invite={openInvite} onInviteDone={() => setOpenInvite(null)} onChange={startAnew}>
            {(me) => (
              <Shell me={me} onSignedOut={startAnew}>
                <Boundary>
                  <Switch>
                    <Route path="/">
                      <HomePage me={me} />
                    </Route>
                    <Route path="/runs/:id">{({ id }) => <RunPage key={id} id={id} />}</Route>
                    <Route path="/workflows/:id">{({ id }) => <WorkflowPage key={id} id={id} me={me} />}</Route>
                    <Route>
                      <NotFound what="page" />
                    </Route>
                  </Switch>
                </Boundary>
              </Shell>
            )}
          </Gate>
        </Provider>
      </ApiContext.Provider>
    </Announcements>
  );
}
