"""Makes a workflow, runs it, shows each event as it happens, and what came of it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from client import Anabranch, Refused, refuse
from follow import follow

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

WORKFLOW = Path(__file__).with_name("workflow.yaml")

ME = "query Me { viewer { scopes user { name } } }"

IMPORT = """
mutation Import($input: ImportWorkflowInput!) {
  importWorkflow(input: $input) {
    workflow { id slug revision }
    userErrors {
      code
      message
      path
      ... on GraphProblemsError { problems { message nodeKey } }
    }
  }
}
"""

START = """
mutation Start($input: StartRunInput!) {
  startRun(input: $input) {
    run { id }
    userErrors { code message path }
  }
}
"""

RESULT = """
query Result($id: ID!) {
  run(id: $id) { status output error { code message nodeKey } }
}
"""

RUNS = """
query Runs($id: ID!, $first: Int!, $after: String) {
  workflow(id: $id) {
    runs(first: $first, after: $after) {
      nodes { id status }
      pageInfo { hasNextPage endCursor }
    }
  }
}
"""


async def work(anabranch: Anabranch, topic: str) -> None:
    """Do it all. Raises `Refused`."""
    viewer = (await anabranch.ask(ME))["viewer"]
    # A token that is not valid is nobody's: no error, but no viewer either.
    if viewer is None:
        raise Refused("The server does not accept ANABRANCH_TOKEN: it is wrong, revoked or expired.")
    show(f"viewer {viewer['user']['name']} ({' '.join(viewer['scopes'])})")

    document = await asyncio.to_thread(WORKFLOW.read_text, encoding="utf-8")
    made = (await anabranch.ask(IMPORT, input={"document": document, "mode": "UPSERT"}))["importWorkflow"]
    refuse(made["userErrors"])
    workflow = made["workflow"]
    show(f"workflow {workflow['id']} {workflow['slug']} revision {workflow['revision']}")

    begun = (await anabranch.ask(START, input={"workflowId": workflow["id"], "input": {"topic": topic}}))["startRun"]
    refuse(begun["userErrors"])
    run_id = begun["run"]["id"]
    show(f"run {run_id}")
    async with aclosing(follow(anabranch, run_id)) as events:
        async for event in events:
            show(line(event))

    async with aclosing(runs(anabranch, workflow["id"], count=2, pages=5)) as listed:
        async for run in listed:
            show(f"listed {run['id']} {run['status']}")
    run = (await anabranch.ask(RESULT, id=run_id))["run"]
    if run["status"] != "SUCCEEDED":
        error = run["error"] or {"code": "none", "message": "no error is told"}
        raise Refused(f"The run is {run['status']}: {error['code']}: {error['message']}")
    show(f"output {json.dumps(run['output'], ensure_ascii=False)}")


async def runs(anabranch: Anabranch, workflow_id: str, *, count: int, pages: int) -> AsyncGenerator[dict[str, Any]]:
    """Yield a workflow's runs, newest first: at most `pages` pages of `count`, each asked for when it is needed."""
    after: str | None = None
    for _ in range(pages):
        page = (await anabranch.ask(RUNS, id=workflow_id, first=count, after=after))["workflow"]["runs"]
        for run in page["nodes"]:
            yield run
        if not page["pageInfo"]["hasNextPage"]:
            return
        after = page["pageInfo"]["endCursor"]


def line(event: Mapping[str, Any]) -> str:
    """Return what is shown of an event: its place, its type, its node, its text as JSON."""
    words = [str(event["seq"]), event["__typename"]]
    if "nodeKey" in event:
        words.append(event["nodeKey"])
    if "text" in event:
        words.append(json.dumps(event["text"], ensure_ascii=False))
    return " ".join(words)


def show(text: str) -> None:
    """Print a line at once, into a pipe too."""
    print(text, flush=True)


def main() -> int:
    """Return the exit status."""
    token = os.environ.get("ANABRANCH_TOKEN")
    if not token:
        print("Set ANABRANCH_TOKEN to an API key with the scopes WRITE and EXECUTE.", file=sys.stderr)
        return 1
    url = os.environ.get("ANABRANCH_URL", "http://127.0.0.1:8000").rstrip("/")
    topic = sys.argv[1] if len(sys.argv) > 1 else "a river that splits in two"
    try:
        asyncio.run(work(Anabranch(url, token), topic))
    except Refused as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
