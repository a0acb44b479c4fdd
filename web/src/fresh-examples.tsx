/** The button that brings the examples anew, with the newest ids. */

import { useGraphiQL } from '@graphiql/react';
import { useState } from 'react';
import type { Tab, Tabs } from './tabs';

export function FreshExamples({ onBring }: { readonly onBring: (current: Tabs) => Promise<void> }) {
  const [isBusy, setBusy] = useState(false);
  const state = useGraphiQL(({ tabs, activeTabIndex, queryEditor, variableEditor, actions }) => ({
    tabs,
    activeTabIndex,
    queryEditor,
    variableEditor,
    stop: actions.stop,
  }));

  const bring = () => {
    const { tabs, activeTabIndex, queryEditor, variableEditor, stop } = state;
    stop();
    setBusy(true);
    // GraphiQL's own record of the tab that is open follows its editors a moment later.
    const current = tabs.map((tab, index): Tab => {
      const shown = index === activeTabIndex;
      return {
        ...tab,
        query: (shown ? queryEditor?.getValue() : tab.query) ?? null,
        variables: (shown ? variableEditor?.getValue() : tab.variables) ?? null,
        headers: null,
        response: null,
      };
    });
    void onBring({ tabs: current, activeTabIndex }).finally(() => setBusy(false));
  };

  return (
    <button type="button" className="account quiet" onClick={bring} disabled={isBusy} title="Tabs that you have edited stay">
      Fresh examples
    </button>
  );
}
