"""Every example runs as it lies there, on a real server with real models."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from rich.console import Console

from domain.document import load
from domain.run import RunStatus
from gql.client import operations
from gql.client.session import ApiClient
from gql.client.stream import Patience
from gql.commands.answers import answer, question_of
from gql.commands.examples import list_examples
from gql.commands.workflow_runs import Given, prepare, read_input, start
from gql.demo import operations as demo_operations
from gql.demo.corpus import read_library
from gql.demo.library import stock
from gql.watch import Onlooker, watch
from runtime.registry import BUILT_IN
from runtime.settings import LlmSettings
from tests.support.local_model import real_model
from tests.support.services import settings_on
from tests.support.whole_server import serving_anabranch

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from domain.json_value import Json
    from gql.client.events import Event
    from gql.client.run_view import RunView
    from runtime.local_model import LocalModel

__all__ = ["real_model"]
ROOT = Path(__file__).parents[2]
EXAMPLES = {example.name: example for example in list_examples()}
INPUTS: dict[str, dict[str, Json]] = {
    "ask": {"question": "How do I compare two texts?"},
    "hello": {},
    "learn": {"documents": [{"externalId": "a", "text": "A stream that rejoins the main river.", "metadata": {}}]},
    "search": {"question": "Which stream rejoins the river?", "topic": "rivers"},
    "choose": {"number": 4000},
    "tally": {"place": "Echuca", "weight": "1.50"},
    "wait": {},
    "greet": {"name": "Ada"},
    "welcome": {"first": "Ada", "second": "Grace"},
    "approve": {"text": "A river that rejoins."},
    "reach": {"message": "The river is back.", "phone": "+43 1", "post": "Echuca"},
    "fallback": {},
    "persist": {},
    "patience": {},
    "salvage": {},
    "turns": {"account": "ada"},
    "each": {"people": [{"name": "Ada", "city": "London"}, {"name": "Edsger"}, {"name": "Grace", "city": "Arlington"}]},
    "order": {"lines": [{"article": "tea", "price": 2.5}, {"article": "salt", "price": 1}], "country": "AT"},
}
NEEDS = {"welcome": ["greet"], "each": ["greet"]}
"""Workflows that an example calls."""
FAILING = {"salvage"}
"""Examples that fail, since that is what they show."""
VISITS: dict[str, Json] = {
    "name": "visits",
    "columns": [
        {"name": "place", "type": "TEXT"},
        {"name": "note", "type": "TEXT"},
        {"name": "weight", "type": "NUMERIC"},
    ],
    "keyColumns": ["place"],
}
LIBRARY: list[dict[str, Any]] = [
    {
        "externalId": "anabranch",
        "text": "An anabranch is a stream that rejoins its river.",
        "metadata": {"topic": "rivers"},
    },
    {"externalId": "tar", "text": "A tar archive keeps many files in one.", "metadata": {"topic": "files"}},
]
EXPECTED: dict[str, dict[str, Any]] = {
    "ask": {"rowsWritten": 1, "sources": {"members": ["difflib.Differ"], "modules": ["difflib"]}},
    "hello": {"server": {"status": "alive"}},
    "learn": {"documents": 1, "chunks": 1},
    "search": {"best": LIBRARY[0]["text"], "ofTopic": [LIBRARY[0]["text"]]},
    "choose": {"way": "large", "text": "4 thousand it is."},
    "wait": {},
    "greet": {"text": "Good day, Ada!"},
    "welcome": {"text": "Good day, Ada! Good day, Grace!"},
    "approve": {"told": "ada@example.com wants it: A river that rejoins."},
    "reach": {"by": "+43 1", "letter": "Echuca"},
    "fallback": {"rate": 1.0, "news": "No news today (HTTP_STATUS in attempt 1)."},
    "persist": {"status": 200},
    "patience": {"told": "Not there in time: TIMED_OUT."},
    "salvage": {},
    "turns": {},
    "each": {
        "texts": ["1. Good day, Ada!", "2. Good day, Edsger!", "3. Good day, Grace!"],
        "count": 3,
        "cities": ["London", "Arlington"],
    },
    "order": {"total": 3.5, "articles": ["tea", "salt"], "note": "2 articles to AT"},
    "tally": {"rows": [{"place": "Echuca", "note": "no note", "weight": "1.5"}], "told": "1 row for Echuca"},
}


@pytest.fixture
async def client(database_url: str, data_dir: Path, real_model: LocalModel) -> AsyncGenerator[ApiClient]:
    """Serve Anabranch with real models, a few documents and the table; gives a client that is signed in."""
    plain = await asyncio.to_thread(settings_on, database_url, data_dir)  # looks for the embedding model's files
    settings = plain.model_copy(update={"llm": LlmSettings(base_url=real_model.base_url, model=real_model.model)})
    documents = [document for document in read_library() if document.name in {"difflib", "difflib.Differ"}]
    async with (
        serving_anabranch(settings, allowed=(real_model.address,)) as url,
        aiohttp.ClientSession() as http,
    ):
        client = ApiClient(http, url)
        await client.sign_up("ada@example.com", "a river that rejoins")
        await stock(client, documents, Console(file=io.StringIO()))
        payload = await client.mutate(operations.CREATE_COLLECTION, {"input": {"name": "library"}})
        given = {"id": payload["collection"]["id"], "documents": LIBRARY}
        await client.mutate(operations.UPSERT_DOCUMENTS, given)
        await client.mutate(demo_operations.CREATE_TABLE, {"input": VISITS})
        yield client


@pytest.mark.timeout(240)
async def test_every_example_runs_as_it_lies_there(client: ApiClient, subtests: pytest.Subtests) -> None:
    for name in sorted(EXAMPLES, key="learn".__eq__):  # last: what it adds would be found by `search`
        with subtests.test(name):
            async with asyncio.timeout(60):
                await run_example(name, client)


async def run_example(name: str, client: ApiClient) -> None:
    """Bring an example and what it calls to the server, run it, and compare what it returns."""
    for needed in NEEDS.get(name, ()):
        await prepare(client, str(EXAMPLES[needed].path))
    workflow = await prepare(client, str(EXAMPLES[name].path))
    values = read_input(Given(), workflow.input_schema, client.url) | INPUTS[name]
    run_id = await start(client, workflow, values)
    view = await watch(client, run_id, Console(file=io.StringIO()), approving(client, run_id))
    assert view.status is (RunStatus.FAILED if name in FAILING else RunStatus.SUCCEEDED), view.error
    told: dict[str, Any] = view.output or {}
    assert {field: told[field] for field in EXPECTED[name]} == EXPECTED[name]


def approving(client: ApiClient, run_id: str) -> Onlooker:
    """Return somebody who approves whatever a run asks."""
    answers: list[asyncio.Task[str]] = []

    def see(event: Event, _view: RunView) -> None:
        if event.type == "ApprovalRequested":
            answers.append(asyncio.create_task(approve_it()))

    async def approve_it() -> str:
        return await answer(client, (await question_of(client, run_id)).id, "approve", None)

    return Onlooker(see, lambda _: None, Patience())


def test_the_examples_show_every_kind() -> None:
    documents = [load(example.path.read_text()) for example in EXAMPLES.values()]
    shown = {node.kind for document in documents for node in document.definition.graph.nodes}
    assert {kind.name for kind in BUILT_IN} - shown == set()


def test_every_example_has_a_sentence_a_slug_of_its_name_and_a_line_in_the_readme() -> None:
    readme = (ROOT / "examples/README.md").read_text()
    for example in EXAMPLES.values():
        assert example.about.endswith(".")
        assert load(example.path.read_text()).slug == example.name
        assert f"| `{example.name}.yaml` |" in readme
