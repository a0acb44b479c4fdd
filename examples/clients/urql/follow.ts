/** Bring a workflow to the server, start a run of it, print its events as they come, and then what it returned. */

import { readFile } from "node:fs/promises";
import type { Client } from "@urql/core";
import { makeClient } from "./client.ts";
import { explain, Fault } from "./faults.ts";
import { type ProblemFragment, ReadRunDocument, SaveWorkflowDocument, StartRunDocument } from "./generated/operations.ts";
import { type RunEvent, runEvents } from "./run-events.ts";

const url = (process.env["ANABRANCH_URL"] ?? "http://127.0.0.1:8000").replace(/\/+$/, "");

async function main(): Promise<void> {
  const token = process.env["ANABRANCH_TOKEN"];
  if (!token) throw new Fault("Set ANABRANCH_TOKEN to an API key with the scopes WRITE and EXECUTE.");
  const client = makeClient(url, token);
  const workflowId = await saveWorkflow(client, await readFile(new URL("story.yaml", import.meta.url), "utf8"));
  const runId = await startRun(client, workflowId, { subject: process.argv[2] ?? "a river that splits and meets again" });
  for await (const event of runEvents(client, runId)) print(event);
  console.log(`Output: ${JSON.stringify(await readOutput(client, runId))}`);
}

/** Make the workflow, or change it if it is there; give its id. */
async function saveWorkflow(client: Client, document: string): Promise<string> {
  const { data, error } = await client.mutation(SaveWorkflowDocument, { document });
  if (!data) throw error;
  const { workflow, userErrors } = data.importWorkflow;
  if (!workflow) throw refusal("The workflow was refused", userErrors);
  return workflow.id;
}

async function startRun(client: Client, workflowId: string, input: unknown): Promise<string> {
  // With a key it may be sent again when no answer comes: there will be one run all the same.
  const { data, error } = await client.mutation(StartRunDocument, { workflowId, input, key: crypto.randomUUID() });
  if (!data) throw error;
  const { run, userErrors } = data.startRun;
  if (!run) throw refusal("The run was refused", userErrors);
  return run.id;
}

async function readOutput(client: Client, id: string): Promise<unknown> {
  // Events do not change what the cache has of a run: the network knows how it ended.
  const { data, error } = await client.query(ReadRunDocument, { id }, { requestPolicy: "network-only" });
  if (!data) throw error;
  const { run } = data;
  if (!run) throw new Fault(`There is no run ${id}.`);
  if (run.status !== "SUCCEEDED") {
    const { code, message, nodeKey } = run.error ?? { code: "", message: "no error is known", nodeKey: null };
    throw new Fault(`The run ${run.status}: ${code} ${message}${nodeKey ? ` (node ${nodeKey})` : ""}`);
  }
  return run.output;
}

/** Types of events that are not known yet have these fields, too. */
function print(event: RunEvent): void {
  const words: (string | number)[] = [event.seq, event.__typename];
  if ("nodeKey" in event) words.push(event.nodeKey);
  if ("text" in event) words.push(JSON.stringify(event.text));
  console.log(words.join(" "));
}

/** What the caller can correct comes as data, beside a payload that is null; it is no error of GraphQL's. */
function refusal(what: string, userErrors: readonly ProblemFragment[]): Fault {
  const problems = userErrors.flatMap((error) => ("problems" in error ? error.problems.map(({ message }) => message) : []));
  const messages = [...userErrors.map(({ code, message }) => `${message} (${code})`), ...problems];
  return new Fault(`${what}: ${messages.join(" ")}`);
}

try {
  await main();
} catch (error) {
  console.error(explain(error, url));
  process.exitCode = 1;
}
