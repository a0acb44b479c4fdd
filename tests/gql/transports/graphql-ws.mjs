// Follows a run over websockets that break, from the last cursor each time.
import { createClient } from "graphql-ws";
import WebSocket from "ws";
import { finish, say } from "./say.mjs";

const [url, token, run] = process.argv.slice(2);
const query = `subscription ($run: ID!, $after: String) {
  runEvents(runId: $run, after: $after) { __typename cursor seq }
}`;
let connections = 0;
const client = createClient({
  url,
  webSocketImpl: WebSocket,
  connectionParams: { authorization: `Bearer ${token}` },
  retryAttempts: 100,
  retryWait: () => new Promise((resolve) => setTimeout(resolve, 20)),
  shouldRetry: () => true,
  on: { connected: () => (connections += 1) },
});
const variables = { run, after: null };
const seqs = [];
const kinds = [];
await new Promise((resolve, reject) => {
  client.subscribe(
    { query, variables },
    {
      next: ({ data }) => {
        const event = data.runEvents;
        variables.after = event.cursor;
        seqs.push(event.seq);
        kinds.push(event.__typename);
        say("event", event.seq);
      },
      error: reject,
      complete: resolve,
    },
  );
});
const viewer = await new Promise((resolve, reject) => {
  client.subscribe({ query: "{ viewer { user { name } } }" }, { next: resolve, error: reject, complete: () => {} });
});
const refused = await new Promise((resolve) => {
  client.subscribe({ query: "{ nope }" }, { next: resolve, error: resolve, complete: () => {} });
});
finish({ connections, seqs, last: kinds.at(-1), viewer: viewer.data.viewer, refused: refused[0].extensions.code });
