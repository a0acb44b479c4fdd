"""Line 13 of docs/design/security.md in whole: every id and every cursor that one tenant sees, everywhere another can give it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import pytest
from graphql import is_object_type

from domain.ids import Prefix, WorkflowId, from_global
from gql.schema import build_schema
from tests.gql.test_every_field import ARGUMENTS, arguments_of
from tests.support.api import Api
from tests.support.crawl import Crawl, ids_in, told
from tests.support.foreign_ids import Stranger, nobodys
from tests.support.reading import Reader
from tests.support.seeded import seed
from tests.support.services import open_test_services

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from tests.support.foreign_ids import Place
    from tests.support.reading import Reading
    from tests.support.seeded import Seeded

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]
_EVENTS = "subscription ($run: ID!, $after: String) { runEvents(runId: $run, after: $after) { seq runId } }"
_BAD_CURSOR = "AAAA"
_NAMED = {
    "createWorkflow": ("workflow", {"name": "Calls", "slug": "%s"}, "slug"),
    "createSecret": ("secret", {"name": "%s", "value": "x"}, "name"),
    "createCollection": ("collection", {"name": "%s"}, "name"),
    "createDataTable": ("dataTable", {"name": "%s", "columns": [{"name": "one", "type": "TEXT"}]}, "name"),
    "createConnection": (
        "connection",
        {"name": "%s", "settings": {"openaiCompatible": {"baseUrl": "https://models.example.com/v1"}}},
        "name",
    ),
}
"""What makes something with a name that is its own in a workspace: the field of its answer, an input, and the name's field."""


@dataclass
class Two:
    """Two tenants who share nothing, and what each of them has seen of everything."""

    api: Api
    ada_has: Seeded
    eve_has: Seeded
    ada: Crawl
    eve: Crawl
    stranger: Stranger
    """Eve, who gives ids that are not hers."""


@pytest.fixture
async def two(database_url: str, tmp_path: Path) -> AsyncGenerator[Two]:
    async with _two_tenants(database_url, tmp_path) as two:
        yield two


@asynccontextmanager
async def _two_tenants(database_url: str, tmp_path: Path) -> AsyncGenerator[Two]:
    async with open_test_services(database_url, tmp_path) as services:
        has = [await seed(services, f"{name}@example.com") for name in ("ada", "eve")]
        built = await asyncio.to_thread(build_schema, services.settings)
        api = Api(built, services)
        ada, eve = [await _crawled(api, one) for one in has]
        objects = {kind: min(ids) for kind, ids in eve.met.items()}
        yield Two(api, has[0], has[1], ada, eve, Stranger(api, has[1].owner, eve.reader, has[1].ids, objects))


async def _crawled(api: Api, has: Seeded) -> Crawl:
    reader = Reader(api.schema._schema, {**ARGUMENTS, **arguments_of(has)})
    crawl = Crawl(api, has.owner, reader)
    await crawl.whole(has.all_ids)
    await asyncio.gather(*(crawl.events(run) for run in has.ids[Prefix.RUN]))
    return crawl


async def test_line_13_no_id_that_one_tenant_sees_is_told_from_an_unknown_one_in_any_place(two: Two) -> None:
    assert [prefix for prefix in Prefix if not two.ada.of_prefix(prefix)] == [], "the crawl meets every type"
    assert len(two.ada.ids) > 50
    assert two.ada.ids & two.eve.ids == set()
    wrong: dict[str, object] = {}
    for place in two.stranger.places:
        for foreign in _chosen(place, two.ada):
            said, of_nobody = await two.stranger.is_told_the_same(place, foreign)
            is_refusal = not place.is_mutation or "NOT_FOUND" in said or place.is_narrowing
            if said != of_nobody or not is_refusal:
                wrong[f"{place.path} {foreign}"] = (said, of_nobody)
    assert wrong == {}
    assert two.stranger.asked > 2_500
    await _own_ids_are_told_from_unknown_ones(two)
    await _nothing_has_passed(two)


async def _nothing_has_passed(two: Two) -> None:
    """Neither has what Eve asked for changed anything of Ada's, nor is anything of it to be read by Eve: in no log either."""
    ada, eve = await _crawled(two.api, two.ada_has), await _crawled(two.api, two.eve_has)
    assert ada.ids == two.ada.ids, "not even an entry of an audit log"
    assert ada.totals == two.ada.totals
    assert [one for one in ada.ids if any(one in said for said in eve.said)] == []


def _chosen(place: Place, crawl: Crawl) -> list[str]:
    """All that is plausible at a place, and one of every other type."""
    if place.prefix is None:
        return sorted(crawl.ids)
    of_others = [crawl.of_prefix(prefix)[0] for prefix in Prefix if prefix is not place.prefix]
    return [*crawl.of_prefix(place.prefix), *of_others]


async def _own_ids_are_told_from_unknown_ones(two: Two) -> None:
    """Else the comparison could see nothing: a place that refuses everything alike would pass."""
    blind: list[str] = []
    for place in two.stranger.places:
        if place.is_mutation or place.is_stream:
            continue
        own = two.eve.of_prefix(place.prefix) if place.prefix else sorted(two.eve.ids)
        pairs = [await two.stranger.is_told_the_same(place, one) for one in own]
        if all(said == of_nobody for said, of_nobody in pairs):
            blind.append(place.path)
    assert blind == []


async def test_line_13_cursors_streams_and_names_tell_nothing_of_another_tenant(two: Two) -> None:
    await _cursors_show_only_ones_own(two)
    await _cursors_of_other_logs_are_bad(two)
    await _streams_are_silent(two)
    await _names_are_free(two)


async def _cursors_show_only_ones_own(two: Two) -> None:
    wrong: list[str] = []
    asked = 0
    for kind, reading in _lists(two):
        name = next(one for one in ("after", "before") if one in reading.variables)
        for cursor in sorted(two.ada.cursors[kind])[:10]:
            variables = {**reading.variables, name: cursor}
            answer = await two.api.run(reading.document, variables, caller=two.eve_has.owner)
            asked += 1
            is_bad = answer.codes != [] and set(answer.codes) != {"CURSOR_INVALID"}
            if is_bad or ids_in((answer.data, answer.errors)) & two.ada.ids:
                wrong.append(f"{reading.path} {cursor} {answer}")
    assert wrong == []
    assert asked > 100


def _lists(two: Two) -> list[tuple[str, Reading]]:
    """Every list that Eve can read, of every object that she has, with the type of its connection."""
    schema, reader = two.api.schema._schema, two.eve.reader
    kinds = {kind: one for kind, one in schema.type_map.items() if is_object_type(one)}
    found: list[tuple[str, Reading]] = []
    for kind, one in [(kind, min(ids)) for kind, ids in two.eve.met.items() if kind in kinds]:
        for reading in reader.of_node(kind, one):
            declared = str(cast("Any", kinds[kind]).fields[reading.path[-1]].type).rstrip("!")
            if declared.endswith("Connection"):
                found.append((declared, reading))
    of_root: Any = schema.query_type
    for name in ("runs", "workflows"):
        found += [(str(of_root.fields[name].type).rstrip("!"), one) for one in reader.of_query([name])]
    assert {kind for kind, _ in found} >= set(two.ada.cursors) - {"RunEvent", "WorkspaceConnection"}
    return found


async def _cursors_of_other_logs_are_bad(two: Two) -> None:
    eve, own = two.eve_has.owner, two.eve_has.ids[Prefix.RUN][0]
    foreign = two.ada_has.ids[Prefix.RUN][0]
    bad = await two.api.first(_EVENTS, {"run": own, "after": _BAD_CURSOR}, caller=eve, timeout_s=5)
    assert bad is not None
    assert bad.codes == ["CURSOR_INVALID"]
    for cursor in sorted(two.ada.cursors["RunEvent"])[:20]:
        answer = await two.api.first(_EVENTS, {"run": own, "after": cursor}, caller=eve, timeout_s=5)
        assert told(answer, cursor) == told(bad, cursor)
        theirs = [
            await two.api.first(_EVENTS, {"run": run, "after": cursor}, caller=eve, timeout_s=5)
            for run in (foreign, nobodys(foreign))
        ]
        assert told(theirs[0], foreign) == told(theirs[1], nobodys(foreign))
        assert "NOT_FOUND" in told(theirs[0], foreign)


async def _streams_are_silent(two: Two) -> None:
    """Also while the other one is at work."""
    two.stranger.silence_s = 3
    streams = [place for place in two.stranger.places if place.is_stream]
    assert len(streams) >= 4
    asked = [
        (place.path, one, asyncio.create_task(two.stranger.ask(place, one), name=f"stream {place.path}"))
        for place in streams
        for one in (two.ada.of_prefix(place.prefix) if place.prefix else [])
    ]
    runs = two.api.services.runs
    for workflow in two.ada_has.ids[Prefix.WORKFLOW][:1] * 3:
        await runs.start(two.ada_has.owner, WorkflowId(from_global(Prefix.WORKFLOW, workflow)), {})
    said = [(path, one, told(await answer, one)) for path, one, answer in asked]
    assert [one for one in said if one[2] != "nothing" and "NOT_FOUND" not in one[2]] == []


async def _names_are_free(two: Two) -> None:
    """A name is taken in one workspace only: that it is taken elsewhere is not told."""
    for name, (made, given, named) in _NAMED.items():
        kind = f"{name[0].upper()}{name[1:]}Input"
        document = (
            f"mutation ($input: {kind}!) {{ {name}(input: $input) {{ {made} {{ {named} }} userErrors {{ code }} }} }}"
        )
        text = "OURS" if name == "createSecret" else "ours"
        values = {**given, named: text}
        answers = [
            await two.api.run(document, {"input": values}, caller=caller)
            for caller in (two.ada_has.owner, two.eve_has.owner, two.eve_has.owner)
        ]
        payloads = [answer.data[name] for answer in answers]
        assert [payload["userErrors"] for payload in payloads[:2]] == [[], []], name
        assert [payload[made][named] for payload in payloads[:2]] == [text, text], name
        assert [error["code"] for error in payloads[2]["userErrors"]] == ["ALREADY_EXISTS"], name
