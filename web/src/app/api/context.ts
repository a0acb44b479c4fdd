/** The API for components; `useQuery` and its kind have its client from urql's own provider. */

import { createContext, useContext, useEffect, useSyncExternalStore } from 'react';
import type { Api } from './client';

export const ApiContext = createContext<Api | null>(null);

export function useApi(): Api {
  const api = useContext(ApiContext);
  if (!api) throw new Error('Used outside of the API.');
  return api;
}

/** Call whenever the socket came back after a break: subscriptions go on by themselves, what they missed does not come. */
export function useReconnected(listener: () => void): void {
  const { onConnection } = useApi();
  useEffect(() => onConnection((isLost) => !isLost && listener()), [onConnection, listener]);
}

/** Whether the socket of lists and editors is gone for now. */
export function useIsLost(): boolean {
  const { onConnection, isLost } = useApi();
  return useSyncExternalStore(onConnection, isLost);
}
