"""The example plug-in, installed by pip beside Anabranch, is typed in the schema, runs and streams; taken away, it leaves a graph to read."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from tests.support.server_process import Caller, server_process
from tests.support.web_server import web_server

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[2]
PLUGIN = ROOT / "examples" / "plugin"
POEM = "The river leaves,\nthe river comes back.\n"

pytestmark = [pytest.mark.long, pytest.mark.timeout(240)]

TYPE = """query($name: String!) { __type(name: $name) {
  inputFields { name description type { name kind ofType { name } } } fields { name description } } }"""
READ = """query($id: ID!) { workflow(id: $id) { isRunnable document problems { code severity nodeKey }
  graph { nodes { key kind config { __typename
    ... on UnknownConfig { kind raw } ... on TransformConfig { fields { name } } %s } } } } }"""
TYPED = "... on SlugifyConfig { heading separator maxLength } ... on StreamTextConfig { address token maxBytes }"
START = "mutation($i: StartRunInput!) { startRun(input: $i) { run { id } userErrors { code message } } }"
PUBLISH = (
    "mutation($i: PublishWorkflowInput!) { publishWorkflow(input: $i) { version { number } userErrors { message } } }"
)
SECRET = "mutation($i: CreateSecretInput!) { createSecret(input: $i) { userErrors { message } } }"


@dataclass
class Place:
    """An environment of its own, in which Anabranch and all it needs can be imported."""

    folder: Path

    @property
    def python(self) -> str:
        return str(self.folder / "bin" / "python")

    @property
    def serve(self) -> tuple[str, ...]:
        return (self.python, "-m", "anabranch", "serve")

    def run(self, *arguments: str, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603 -- ours
            [self.python, *arguments], cwd=self.folder, capture_output=True, text=True, timeout=timeout_s, check=False
        )

    def pip(self, *arguments: str) -> None:
        done = self.run("-m", "pip", "--disable-pip-version-check", "--no-input", *arguments)
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Make an environment that sees what is installed here; pip writes into the new one alone."""
    made = Place(tmp_path_factory.mktemp("plug") / "venv")
    venv.create(made.folder, symlinks=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    beside = made.folder / "lib" / version / "site-packages" / "beside.pth"
    beside.write_text(f"{sysconfig.get_path('purelib')}\n{ROOT}\n")
    return made


def install(place: Place, source: Path) -> None:
    place.pip("install", "-q", "--no-deps", "--no-build-isolation", "--no-index", str(source))


def shapes(found: Mapping[str, Any]) -> dict[str, str]:
    return {one["name"]: one["type"]["name"] or one["type"]["ofType"]["name"] for one in found["inputFields"]}


async def test_the_example_plug_in_is_typed_runs_and_streams_and_can_be_taken_away(
    place: Place, data_dir: Path
) -> None:
    await asyncio.to_thread(install, place, PLUGIN)
    async with web_server() as web, aiohttp.ClientSession() as session:
        web.answer("/poem", text=POEM, content_type="text/plain")
        allowed = {"ANABRANCH_OUTBOUND__ALLOWED": f'["{web.allowed}"]'}
        async with server_process(data_dir, allowed, place.serve) as server:
            caller = Caller(server.url, session)
            await caller.sign_up()
            await look_at_the_schema(caller)
            await caller.ask(SECRET, i={"name": "POEMS", "value": "s3cret-token"})
            workflow = await compose(caller, f"{web.url}/poem")
            log = await caller.ended(await caller.start(workflow, {"title": "Ä river, twice"}))
            check_run(log)
            assert web.asked[-1].headers["Authorization"] == "Bearer s3cret-token"
            published = await publish_another(caller)
            data = await caller.ask(READ % TYPED, id=workflow)
            shown = {one["key"]: one["config"] for one in data["workflow"]["graph"]["nodes"]}
            assert shown["slug"] == {
                "__typename": "SlugifyConfig",
                "heading": "{{ input.title }}",
                "separator": "UNDERSCORE",
                "maxLength": 80,
            }
            doctor = await asyncio.to_thread(place.run, "-m", "anabranch", "doctor", "--data-dir", str(data_dir))
            assert "SLUGIFY (anabranch-texts 1.0.0, slugify = anabranch_texts.slugify:KIND)" in doctor.stdout

        await asyncio.to_thread(place.pip, "uninstall", "-q", "-y", "anabranch-texts")
        async with server_process(data_dir, allowed, place.serve) as server:
            gone = Caller(server.url, session, caller.token)
            await look_at_what_is_left(gone, workflow, published)


async def look_at_the_schema(caller: Caller) -> None:
    given = (await caller.ask(TYPE, name="NodeConfigInput"))["__type"]
    assert shapes(given)["slugify"] == "SlugifyConfigInput"
    assert shapes(given)["streamText"] == "StreamTextConfigInput"
    slugify = (await caller.ask(TYPE, name="SlugifyConfigInput"))["__type"]
    assert shapes(slugify) == {"heading": "String", "separator": "SlugSeparator", "maxLength": "Int"}
    described = {one["name"]: one["description"] for one in slugify["inputFields"]}
    assert described["heading"] == "Template of the text."


async def compose(caller: Caller, address: str) -> str:
    slug = {"slugify": {"heading": "{{ input.title }}", "separator": "UNDERSCORE"}}
    poem = {"streamText": {"address": address, "token": "{{ secrets.POEMS }}"}}
    told = {"name": "told", "value": "{{ nodes.slug.output.slug }}: {{ nodes.poem.output.lines }}"}
    return await caller.create(
        name="Plugged",
        graph={
            "nodes": [
                {"key": "slug", "config": slug},
                {"key": "poem", "config": poem},
                {"key": "end", "config": {"transform": {"fields": [told]}}},
            ],
            "edges": [{"source": "slug", "target": "end"}, {"source": "poem", "target": "end"}],
        },
    )


def check_run(log: list[dict[str, Any]]) -> None:
    assert log[-1]["__typename"] == "RunSucceeded"
    assert log[-1]["output"] == {"end": {"told": "a_river_twice: 2"}}
    assert "".join(event["text"] for event in log if event["__typename"] == "NodeOutputDelta") == POEM
    assert "s3cret-token" not in str(log)


async def publish_another(caller: Caller) -> str:
    node = {"key": "slug", "config": {"slugify": {"heading": "x"}}}
    workflow = await caller.create(name="Published", graph={"nodes": [node], "edges": []})
    data = await caller.ask(PUBLISH, i={"id": workflow, "expectedRevision": 1})
    assert data["publishWorkflow"]["version"]["number"] == 1
    return workflow


async def look_at_what_is_left(caller: Caller, workflow: str, published: str) -> None:
    given = (await caller.ask(TYPE, name="NodeConfigInput"))["__type"]
    assert {"slugify", "streamText"} & set(shapes(given)) == set()
    left = (await caller.ask(READ % "", id=workflow))["workflow"]
    nodes = {one["key"]: one for one in left["graph"]["nodes"]}
    assert nodes["slug"] == {
        "key": "slug",
        "kind": "UNKNOWN",
        "config": {
            "__typename": "UnknownConfig",
            "kind": "slugify",
            "raw": {"heading": "{{ input.title }}", "separator": "UNDERSCORE"},
        },
    }
    assert nodes["end"]["kind"] == "TRANSFORM"
    assert not left["isRunnable"]
    problems = {(one["nodeKey"], one["code"], one["severity"]) for one in left["problems"]}
    assert {("slug", "UNKNOWN_KIND", "ERROR"), ("poem", "UNKNOWN_KIND", "ERROR")} <= problems
    refused = (await caller.ask(START, i={"workflowId": workflow, "input": {"title": "x"}}))["startRun"]
    assert refused["run"] is None
    assert [one["code"] for one in refused["userErrors"]] == ["GRAPH_PROBLEMS"]
    refused = (await caller.ask(START, i={"workflowId": published}))["startRun"]
    assert refused["run"] is None
    assert [one["message"] for one in refused["userErrors"]] == ["The node kind 'slugify' is not installed."]


BROKEN = {
    "import": ("import no_such_thing\n", "cannot be imported (ModuleNotFoundError: No module named 'no_such_thing')"),
    "shape": ("KIND = {'kind': 'MINE'}\n", "is no NodeKind but dict"),
    "duplicate": ("from runtime.nodes.transform import KIND\n", "There is a kind TRANSFORM already"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_plug_in_stops_the_start_with_one_sentence(place: Place, tmp_path: Path, fault: str) -> None:
    source, told = BROKEN[fault]
    (tmp_path / "broken_texts.py").write_text(source)
    text = (PLUGIN / "pyproject.toml").read_text()
    begin, end = text.index("slugify ="), text.index("[tool.hatch")
    text = f'{text[:begin]}mine = "broken_texts:KIND"\n\n{text[end:]}'
    text = text.replace('packages = ["anabranch_texts"]', 'only-include = ["broken_texts.py"]')
    (tmp_path / "pyproject.toml").write_text(text.replace('"anabranch-texts"', '"broken-texts"'))
    install(place, tmp_path)
    try:
        data = str(tmp_path / "data")
        served = place.run("-m", "anabranch", "serve", "--data-dir", data)
        assert (served.returncode, served.stdout) == (1, "")
        [line] = served.stderr.splitlines()
        assert line.startswith("The plug-in broken-texts 1.0.0, mine = broken_texts:KIND ")
        assert told in line
        assert line.endswith(" Repair or uninstall it.")
        doctor = place.run("-m", "anabranch", "doctor", "--data-dir", data)
        assert doctor.returncode == 1
        assert told in doctor.stdout
    finally:
        place.pip("uninstall", "-q", "-y", "broken-texts")
