"""What the examples of `examples/clients/` are tested against: a server, an API key, a model that waits, a line that breaks.

Every example prints one line for each event, as `line_of` writes it, so that what it printed can be compared with the log.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp

from runtime.settings import ApiSettings
from tests.support.cutting_proxy import CuttingProxy, cutting_proxy
from tests.support.openai_endpoint import answer, openai_endpoint, refusal
from tests.support.server_process import Caller, server_process
from tests.support.services import settings_on
from tests.support.whole_server import serving_anabranch

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

    from tests.support.openai_endpoint import OpenaiEndpoint
    from tests.support.server_process import ServerProcess

CLIENTS = Path(__file__).parents[2] / "examples" / "clients"
PARTS = 6
"""How often the model waits until the line was broken."""
_CREATE_KEY = """
mutation ($scopes: [Scope!]!) { createApiKey(input: { name: "Example", scopes: $scopes }) { token userErrors { message } } }
"""
_REVOKE_KEY = "mutation ($id: ID!) { revokeApiKey(input: { id: $id }) { userErrors { message } } }"
_KEYS = "{ viewer { apiKeys(first: 10) { nodes { id } } } }"
_RUNS = "{ runs(first: 10) { nodes { id status output } } }"
_LOG = """
query ($id: ID!, $after: String) {
  run(id: $id) {
    events(first: 100, after: $after) {
      pageInfo { hasNextPage endCursor }
      nodes { __typename seq ... on NodeEvent { nodeKey } ... on NodeOutputDelta { text } }
    }
  }
}
"""
_TIMEOUT_S = 120.0


def copy_example(name: str, folder: Path) -> Path:
    """Copy an example as a user would, so that nothing is installed into the repository; return where it is."""
    ignored = shutil.ignore_patterns("node_modules", ".venv", "__pycache__")
    return Path(shutil.copytree(CLIENTS / name, folder / name, ignore=ignored))


def line_of(event: Mapping[str, Any]) -> str:
    """Return the line that an example prints for an event: its place, its type, its node, its text as JSON."""
    words = [str(event["seq"]), event["__typename"]]
    if "nodeKey" in event:
        words.append(event["nodeKey"])
    if "text" in event:
        words.append(json.dumps(event["text"], ensure_ascii=False))
    return " ".join(words)


def event_lines(lines: Sequence[str]) -> list[str]:
    """Return the lines that tell of events."""
    return [line for line in lines if line.partition(" ")[0].isdecimal()]


@dataclass(frozen=True)
class Finished:
    """A program that has ended."""

    status: int
    lines: list[str]
    """What it printed."""
    complaints: str
    """What it said on the error stream."""


@dataclass
class ServedExample:
    """A server with its owner, an API key, a model that does what it is told, and a line to it that can be broken."""

    url: str
    owner: Caller
    endpoint: OpenaiEndpoint
    proxy: CuttingProxy
    proxied: str
    """The server's address by the line that breaks."""
    key: str = ""
    """The text of an API key."""
    gates: list[asyncio.Event] = field(default_factory=lambda: [asyncio.Event() for _ in range(PARTS)])

    def tell_a_story(self) -> str:
        """Have the model write in parts, each when `break_off` has heard the last; return the whole text."""
        steps: list[str | asyncio.Event] = []
        for number, gate in enumerate(self.gates):
            steps += [f"Part {number} “🌊”", ", quick", ", quick", f" and done {number}. ", gate]
        self.endpoint.script(answer(*steps, "The end."))
        return "".join(step for step in steps if isinstance(step, str)) + "The end."

    def refuse(self) -> None:
        """Have the model refuse, with an error that ends a run at once."""
        self.endpoint.script(refusal(400, "no stories today"))

    def break_off(self, line: str, how: Callable[[], None] | None = None) -> None:
        """Break all connections when a line tells of a part's end, and let the model go on meanwhile."""
        for number, gate in enumerate(self.gates):
            if f" done {number}." in line and not gate.is_set():
                (how or self.proxy.cut)()
                gate.set()

    def environment(self, **changes: str) -> dict[str, str]:
        """Return the variables of an example: the line that breaks, and the key."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ANABRANCH_")}
        return kept | {"ANABRANCH_URL": self.proxied, "ANABRANCH_TOKEN": self.key, "NO_COLOR": "1"} | changes

    async def make_key(self, *scopes: str) -> str:
        """Make another API key; give its text."""
        made = (await self.owner.ask(_CREATE_KEY, scopes=scopes))["createApiKey"]
        assert made["userErrors"] == []
        return made["token"]

    async def revoke_keys(self) -> None:
        """Revoke every key."""
        for key in (await self.owner.ask(_KEYS))["viewer"]["apiKeys"]["nodes"]:
            await self.owner.ask(_REVOKE_KEY, id=key["id"])

    async def only_run(self) -> dict[str, Any]:
        """Return the one run that there is."""
        [run] = (await self.owner.ask(_RUNS))["runs"]["nodes"]
        return run

    async def log(self) -> list[dict[str, Any]]:
        """Read the whole log of the one run that there is."""
        run_id, after, log = (await self.only_run())["id"], None, []
        while True:
            page = (await self.owner.ask(_LOG, id=run_id, after=after))["run"]["events"]
            log += page["nodes"]
            if not page["pageInfo"]["hasNextPage"]:
                return log
            after = page["pageInfo"]["endCursor"]


@asynccontextmanager
async def serving_example(database_url: str, data_dir: Path) -> AsyncGenerator[ServedExample]:
    """Serve all of Anabranch for one example, on a fresh database; its key has the scopes WRITE and EXECUTE."""
    settings = settings_on(database_url, data_dir)
    async with openai_endpoint() as endpoint:
        llm = settings.llm.model_copy(update={"base_url": endpoint.base_url, "model": "fake"})
        # Keys are looked at ten times a second, so that a test takes no half minute.
        settings = settings.model_copy(update={"llm": llm, "api": ApiSettings(session_check_s=0.1)})
        async with (
            serving_anabranch(settings, allowed=(endpoint.allowed,)) as url,
            cutting_proxy(url) as (proxy, proxied),
            aiohttp.ClientSession() as http,
        ):
            owner = Caller(url, http)
            await owner.sign_up()
            served = ServedExample(url, owner, endpoint, proxy, proxied)
            served.key = await served.make_key("WRITE", "EXECUTE")
            yield served


@asynccontextmanager
async def serving_example_to_kill(data_dir: Path) -> AsyncGenerator[tuple[ServerProcess, ServedExample]]:
    """Serve for one example in a process of its own, with no line between them."""
    async with openai_endpoint() as endpoint, aiohttp.ClientSession() as http:
        environment = {
            "ANABRANCH_LLM__BASE_URL": endpoint.base_url,
            "ANABRANCH_LLM__MODEL": "fake",
            "ANABRANCH_OUTBOUND__ALLOWED": json.dumps([endpoint.allowed]),
        }
        async with server_process(data_dir, environment) as server:
            owner = Caller(server.url, http)
            await owner.sign_up()
            served = ServedExample(server.url, owner, endpoint, CuttingProxy(server.url), server.url)
            served.key = await served.make_key("WRITE", "EXECUTE")
            yield server, served


async def run_program(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], hear: Callable[[str], None] = lambda _: None
) -> Finished:
    """Run a program to its end; `hear` gets each line as soon as it is printed."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, env=dict(environment),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    # Read beside the lines: a program that complains a lot would stand still otherwise.
    complaining = asyncio.create_task(process.stderr.read(), name="complaints of an example")
    lines: list[str] = []
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            async for raw in process.stdout:
                lines.append(raw.decode().rstrip("\n"))
                hear(lines[-1])
            complaints = (await complaining).decode()
            return Finished(await process.wait(), lines, complaints)
    finally:
        complaining.cancel()
        if process.returncode is None:
            process.kill()
            await process.wait()
