/** The renewal of a session by the server: an outage is not a session that has ended. */

import { type Client, createRequest } from '@urql/core';
import { RefreshSessionDocument } from '../generated/graphql';
import type { Trade } from './session';

/** Trade by a client of its own, as the ordinary one waits for the renewal; rejects where the server gives no answer. */
export function tradeBy(client: () => Client): Trade {
  return async (refreshToken) => {
    const { data, error } = await client().executeMutation(createRequest(RefreshSessionDocument, { refreshToken })).toPromise();
    const payload = data?.refreshSession;
    if (payload?.expiresAt) return payload.expiresAt;
    if (payload?.userErrors.some(({ code }) => code === 'INVALID_TOKEN')) return null;
    throw error ?? new Error('The server did not renew the session.');
  };
}
