/** Makes a workflow, runs it, shows each event as it happens, and what came of it. */

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type Environment, fetchQuery } from "relay-runtime";
import viewerQuery, { type mainViewerQuery } from "./__generated__/mainViewerQuery.graphql";
import { connect } from "./environment";
import { graphql } from "./graphql";
import { follow, type RunEvent, read, start } from "./run";
import { list } from "./runs";
import { upsert } from "./workflow";

graphql`
  query mainViewerQuery {
    viewer { scopes user { name } }
  }
`;

async function main(topic: string): Promise<void> {
  const { ANABRANCH_URL: url = "http://127.0.0.1:8000", ANABRANCH_TOKEN: token } = process.env;
  if (!token) throw new Error("Set ANABRANCH_TOKEN to an API key with the scopes WRITE and EXECUTE.");
  const { environment, close } = connect(url.replace(/\/$/, ""), token);
  try {
    await work(environment, topic);
  } finally {
    close();
  }
}

async function work(environment: Environment, topic: string): Promise<void> {
  const data = await fetchQuery<mainViewerQuery>(environment, viewerQuery, {}).toPromise();
  // A token that is not valid is nobody's: no error, but no viewer either.
  if (!data?.viewer) throw new Error("The server does not accept ANABRANCH_TOKEN: it is wrong, revoked or expired.");
  console.log(`viewer ${data.viewer.user.name} (${data.viewer.scopes.join(" ")})`);

  const document = await readFile(join(__dirname, "..", "workflow.yaml"), "utf8");
  const workflow = await upsert(environment, document);
  console.log(`workflow ${workflow.id} ${workflow.slug} revision ${workflow.revision}`);

  const runId = await start(environment, workflow.id, { topic });
  console.log(`run ${runId}`);
  await follow(environment, runId, (event) => console.log(line(event)));

  for (const one of await list(environment, workflow.id, 2, 5)) console.log(`listed ${one.id} ${one.status}`);
  const run = await read(environment, runId);
  if (run.status !== "SUCCEEDED") {
    throw new Error(`The run is ${run.status}: ${run.error ? `${run.error.code}: ${run.error.message}` : "no error is told"}`);
  }
  console.log(`output ${JSON.stringify(run.output)}`);
}

function line({ seq, __typename, nodeKey, text }: RunEvent): string {
  return [seq, __typename, nodeKey, text === undefined ? text : JSON.stringify(text)].filter((word) => word !== undefined).join(" ");
}

main(process.argv[2] ?? "a river that splits in two").catch((error: Error) => {
  console.error(error.message);
  process.exitCode = 1;
});
