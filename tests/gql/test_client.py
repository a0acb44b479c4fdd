from __future__ import annotations

import asyncio
import contextlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp import web
from graphql import GraphQLSchema, build_schema, parse, validate
from hypothesis import given
from hypothesis import strategies as st

from domain.run import NodeRunStatus, RunStatus
from gql.client import list_operations, operations, steering_operations
from gql.client.events import Event, NodeOutputDelta, RunEnded, read_event, read_run
from gql.client.faults import ClientFault, RequestRefused, ServerUnreachable, SignInNeeded
from gql.client.logins import Logins, Tokens
from gql.client.run_view import RunView, Text
from gql.client.session import ApiClient
from gql.client.stream import Patience, follow
from gql.schema import schema_text
from tests.support.fake_api import RUN, FakeApi, delta, event, node_event, opened, serving, story

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

FIRST = Tokens(access_token="first", refresh_token="refresh-first")
DRAFT = Path(__file__).parents[2] / "docs/design/schema.graphql"


@cache
def designed_schema() -> GraphQLSchema:
    return build_schema(DRAFT.read_text())


@contextlib.asynccontextmanager
async def client_of(
    api: FakeApi, tokens: Tokens | None = FIRST, logins: Logins | None = None
) -> AsyncGenerator[ApiClient]:
    async with serving(api), aiohttp.ClientSession() as http:
        yield ApiClient(http, api.url, tokens, logins)


async def followed(client: ApiClient, after: str | None = None, **options: Any) -> list[int]:
    patience = Patience(first_s=0.001, longest_s=0.01, give_up_s=5)
    async with contextlib.aclosing(follow(client, RUN, after, patience=patience, **options)) as events:
        return [one.seq async for one in events]


DOCUMENTS: dict[str, str] = {
    name: text
    for module in (operations, list_operations, steering_operations)
    for name, text in vars(module).items()
    if name.isupper() and not name.startswith("_")
}


@cache
def built_schema() -> GraphQLSchema:
    return build_schema(schema_text())


@pytest.mark.parametrize("schema", [designed_schema, built_schema])
@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_document_of_the_client_is_valid_against_the_schema_as_designed_and_as_built(
    name: str, schema: Callable[[], GraphQLSchema]
) -> None:
    assert validate(schema(), parse(DOCUMENTS[name])) == []


async def test_following_ends_by_itself_after_the_last_event() -> None:
    async with client_of(FakeApi()) as client:
        assert await followed(client) == [1, 2, 3, 4, 5, 6, 7]


async def test_following_begins_behind_the_cursor() -> None:
    api = FakeApi()
    async with client_of(api) as client:
        assert await followed(client, "c4") == [5, 6, 7]
    assert api.cursors == ["c4"]


@pytest.mark.parametrize("overlap", [0, 3])
async def test_sockets_that_break_after_every_event_leave_no_gap_and_no_duplicate(overlap: int) -> None:
    api = FakeApi(breaks=[overlap + 1] * 6, overlap=overlap)
    broken: list[str] = []
    async with client_of(api) as client:
        assert await followed(client, on_break=broken.append) == [1, 2, 3, 4, 5, 6, 7]
    assert api.cursors[0] is None
    assert len(api.cursors) == len(broken) + 1 > 3
    assert [int((cursor or "c0")[1:]) for cursor in api.cursors] == sorted({int((c or "c0")[1:]) for c in api.cursors})


async def test_a_server_that_ends_the_stream_early_is_asked_again() -> None:
    """A server that shuts down completes its streams although the run goes on elsewhere."""
    api = FakeApi(events=story()[:3], is_finished=False)

    def grow(seq: int) -> None:
        if seq == 3:
            api.events, api.is_finished = story(), True

    api.on_event = grow
    async with client_of(api) as client:
        assert await followed(client) == [1, 2, 3, 4, 5, 6, 7]
    assert api.cursors == [None, "c3"]


async def test_following_a_finished_run_from_its_last_cursor_yields_nothing_and_ends() -> None:
    api = FakeApi()
    async with client_of(api) as client:
        assert await followed(client, "c7") == []


async def test_an_event_between_the_end_of_a_stream_and_the_question_is_not_lost() -> None:
    """The run ends right after the stream completed: its last events are fetched, though it is finished by then."""
    api = FakeApi(events=story()[:4], is_finished=True)

    def finish(seq: int) -> None:
        if seq == 4:
            api.events = story()

    api.on_event = finish
    async with client_of(api) as client:
        assert await followed(client) == [1, 2, 3, 4, 5, 6, 7]


async def test_pings_are_answered_with_their_payload() -> None:
    api = FakeApi()
    async with client_of(api) as client:
        await followed(client)
    assert api.pongs == [{"type": "pong", "payload": {"n": 1}}]


async def test_an_expired_token_is_renewed_once_and_the_stream_goes_on() -> None:
    api = FakeApi(breaks=[2, "complete"])
    api.access_token = "second"
    async with client_of(api) as client:
        assert await followed(client) == [1, 2, 3, 4, 5, 6, 7]
        assert client.tokens is not None
        assert client.tokens.access_token == "second+"
    assert api.refreshes == ["refresh-first"]


async def test_a_token_that_expires_on_a_live_socket_loses_no_event() -> None:
    api = FakeApi(breaks=[3, "forbidden", "UNAUTHENTICATED"])
    async with client_of(api) as client:
        assert await followed(client) == [1, 2, 3, 4, 5, 6, 7]
    assert api.refreshes == ["refresh-first", "refresh-first+"]


async def test_a_session_that_has_ended_is_told_and_not_tried_for_ever() -> None:
    api = FakeApi(access_token="other", refresh_token="other")
    async with client_of(api) as client:
        with pytest.raises(SignInNeeded):
            await followed(client)
    assert api.refreshes == ["refresh-first"]


@pytest.mark.parametrize("code", ["NOT_FOUND", "CURSOR_INVALID"])
async def test_a_refusal_of_the_stream_is_final(code: str) -> None:
    api = FakeApi(breaks=[code])
    async with client_of(api) as client:
        with pytest.raises(RequestRefused) as refused:
            await followed(client)
    assert refused.value.code == code
    assert api.sockets == 1


async def test_a_server_that_stays_away_ends_the_patience() -> None:
    api = FakeApi(breaks=["silent close"] * 1000)
    async with client_of(api) as client:
        patience = Patience(first_s=0.001, longest_s=0.01, give_up_s=0.05)
        with pytest.raises(ServerUnreachable, match="anabranch dev"):
            _ = [one async for one in follow(client, RUN, patience=patience)]
    assert api.sockets > 1


async def test_any_event_renews_the_patience() -> None:
    patience = Patience(first_s=0.001, longest_s=0.01, give_up_s=0.0)
    with pytest.raises(ServerUnreachable):
        await patience.wait("http://x", OSError("gone"))
    patience = Patience(first_s=0.001, longest_s=0.01, give_up_s=0.02)
    await patience.wait("http://x", OSError("gone"))
    await asyncio.sleep(0.03)  # longer than its patience, which only a clock can use up
    patience.restart()
    await patience.wait("http://x", OSError("gone"))


async def test_nobody_listening_is_one_sentence_that_says_what_to_start() -> None:
    async with aiohttp.ClientSession() as http:
        client = ApiClient(http, "http://127.0.0.1:9", FIRST)
        with pytest.raises(
            ServerUnreachable, match=r"No answer from http://127\.0\.0\.1:9 \(Connection refused\); .*anabranch dev"
        ):
            await client.is_finished(RUN)


async def test_a_page_that_is_not_graphql_is_told_as_such() -> None:
    api = FakeApi(answers={"IsFinished": web.Response(text="<html>", status=404)})
    async with client_of(api) as client:
        with pytest.raises(ClientFault, match=r"does not answer as Anabranch does \(HTTP 404\)"):
            await client.is_finished(RUN)


async def test_user_errors_are_raised_with_their_problems() -> None:
    problem = {"severity": "ERROR", "code": "X", "message": "No such node.", "nodeKey": "a", "path": ["config", "when"]}
    error = {"message": "The graph has problems.", "code": "GRAPH_PROBLEMS", "path": None, "problems": [problem]}
    api = FakeApi(answers={"StartRun": {"startRun": {"run": None, "userErrors": [error]}}})
    async with client_of(api) as client:
        with pytest.raises(RequestRefused) as refused:
            await client.mutate(operations.START_RUN, {"input": {}})
    assert refused.value.code == "GRAPH_PROBLEMS"
    assert refused.value.message == "The graph has problems.\n  node a config.when: No such node."


async def test_a_masked_fault_names_the_id_under_which_the_log_has_it() -> None:
    error = {"message": "Internal error.", "extensions": {"code": "INTERNAL_SERVER_ERROR", "errorId": "e-17"}}
    api = FakeApi(answers={"IsFinished": web.json_response({"errors": [error]})})
    async with client_of(api) as client:
        with pytest.raises(RequestRefused, match=r"Internal error\. The server's log has the cause under e-17\."):
            await client.is_finished(RUN)


async def test_many_requests_with_an_expired_token_trade_the_refresh_token_once() -> None:
    api = FakeApi()
    api.access_token = "second"
    async with client_of(api) as client:
        answers = await asyncio.gather(*(client.is_finished(RUN) for _ in range(8)))
    assert answers == [True] * 8
    assert api.refreshes == ["refresh-first"]


async def test_two_processes_with_one_login_do_not_trade_the_same_refresh_token(tmp_path: Path) -> None:
    api = FakeApi()
    async with serving(api), aiohttp.ClientSession() as http:
        logins = Logins(tmp_path / "logins.json")
        await asyncio.to_thread(logins.save, api.url, FIRST)
        api.access_token = "second"
        clients = [ApiClient(http, api.url, FIRST, Logins(tmp_path / "logins.json")) for _ in range(4)]
        await asyncio.gather(*(client.is_finished(RUN) for client in clients))
        stored = await asyncio.to_thread(logins.find, api.url)
    assert api.refreshes == ["refresh-first"]
    assert stored is not None
    assert stored.refresh_token == "refresh-first+"


def test_stored_logins_are_readable_by_their_owner_alone(tmp_path: Path) -> None:
    logins = Logins(tmp_path / "anabranch" / "logins.json")
    logins.save("http://a", FIRST, is_current=True)
    logins.save("http://b", Tokens(access_token="b"))
    assert logins.path.stat().st_mode & 0o777 == 0o600
    assert logins.path.parent.stat().st_mode & 0o077 == 0
    assert logins.find("http://a") == FIRST
    assert logins.find("http://c") is None
    assert logins.current == "http://a"
    assert [path.name for path in logins.path.parent.iterdir()] == ["logins.json"]


def test_a_broken_login_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "logins.json").write_text("{")
    with pytest.raises(ClientFault, match="delete it and sign in again"):
        Logins(tmp_path / "logins.json").find("http://a")


def test_an_event_of_an_unknown_type_is_kept_for_newer_servers() -> None:
    later = read_event(event(9, "NodeDreamed", nodeKey="ask", attempt=1, dream="sheep"))
    assert (later.type, later.seq) == ("NodeDreamed", 9)


@pytest.mark.parametrize("raw", [None, [], {"__typename": "RunQueued"}, {"__typename": "NodeFailed", "nodeKey": "a"}])
def test_what_is_not_an_event_is_a_fault(raw: object) -> None:
    with pytest.raises(ClientFault):
        read_event(raw)


@given(st.text(st.characters(exclude_categories=["Cs"])), st.data())
def test_pieces_cut_anywhere_in_utf_16_give_the_text_again(text: str, data: st.DataObject) -> None:
    units = text.encode("utf-16-le")
    count = len(units) // 2
    cuts = sorted(data.draw(st.lists(st.integers(0, count), max_size=5)))
    spliced = Text()
    for begin, end in zip([0, *cuts], [*cuts, count], strict=True):
        piece = units[2 * begin : 2 * end].decode("utf-16-le", "surrogatepass")
        spliced.splice(piece, begin)
        assert len(spliced) == end
    assert str(spliced) == text


def test_a_piece_overwrites_from_its_offset_and_a_gap_is_a_fault() -> None:
    text = Text("a🌊b")
    text.splice("🏞c", 3)
    assert str(text) == "a🌊🏞c"
    with pytest.raises(ClientFault, match="a piece begins at 7, the text ends at 6"):
        text.splice("x", 7)


def view_after(*events: dict[str, Any], run: dict[str, Any] | None = None) -> RunView:
    view = RunView.of(read_run(run or opened()))
    for raw in events:
        view.apply(read_event(raw))
    return view


def test_a_view_folds_the_log_into_the_run() -> None:
    view = view_after(*story())
    ask = view.nodes["ask"]
    assert (view.status, view.output, view.delta_count) == (RunStatus.SUCCEEDED, {"answer": "Hello world"}, 2)
    assert view.usage is not None
    assert view.usage.total_tokens == 9
    assert (ask.status, str(ask.text), ask.total_tokens, ask.attempt) == (NodeRunStatus.SUCCEEDED, "Hello world", 9, 1)


def test_a_view_goes_on_where_the_snapshot_ends() -> None:
    node = {
        "key": "ask",
        "status": "RUNNING",
        "attempt": 1,
        "partialText": "Hello ",
        "startedAt": "2026-11-22T12:00:01Z",
    }
    view = view_after(*story()[4:], run=opened("RUNNING", "c4", node))
    assert str(view.nodes["ask"].text) == "Hello world"
    assert view.status is RunStatus.SUCCEEDED


def test_the_text_of_a_superseded_attempt_is_dropped_with_whatever_comes_late() -> None:
    error = {"code": "MODEL_UNAVAILABLE", "message": "503", "nodeKey": "ask", "attempt": 1}
    view = view_after(
        node_event(1, "NodeStarted"),
        delta(2, "wrong", 0),
        node_event(3, "NodeRetrying", error=error, nextAttemptAt="2026-11-22T12:00:09Z"),
        node_event(4, "NodeStarted", attempt=2),
        delta(5, " late", 5),
        delta(6, "right", 0, attempt=2),
    )
    assert (str(view.nodes["ask"].text), view.nodes["ask"].attempt) == ("right", 2)


def test_reasoning_is_not_mixed_into_the_answer() -> None:
    thought = delta(4, "hm", 0) | {"channel": "REASONING"}
    assert str(view_after(node_event(3, "NodeStarted"), thought, delta(5, "Yes", 0)).nodes["ask"].text) == "Yes"


def test_nodes_are_ordered_behind_their_sources() -> None:
    run = opened()
    run["graph"] = {
        "nodes": [{"key": key, "name": key, "kind": "TRANSFORM"} for key in ("d", "b", "c", "a")],
        "edges": [
            {"source": source, "sourcePort": "out", "target": target}
            for source, target in (("a", "b"), ("a", "c"), ("b", "d"), ("c", "d"), ("c", "d"))
        ],
    }
    view = view_after(run=run)
    assert list(view.nodes) == ["a", "b", "c", "d"]
    assert view.nodes["d"].sources == ("b", "c")


def test_events_of_items_leave_the_node_itself_alone() -> None:
    item = node_event(2, "NodeFailed", error={"code": "X", "message": "x"}) | {"itemIndex": 3}
    assert view_after(node_event(1, "NodeStarted"), item).nodes["ask"].status is NodeRunStatus.RUNNING


def test_ends_and_pieces_are_typed() -> None:
    events = [read_event(raw) for raw in story()]
    assert [type(one) for one in events if isinstance(one, NodeOutputDelta | RunEnded)] == [
        NodeOutputDelta,
        NodeOutputDelta,
        RunEnded,
    ]


async def test_an_event_that_the_server_sends_again_is_told_of_but_not_given_again() -> None:
    api = FakeApi(breaks=[4], overlap=2, is_finished=False)
    repeats: list[Event] = []
    async with client_of(api) as client:
        assert await followed(client, on_repeat=repeats.append) == [1, 2, 3, 4, 5, 6, 7]
    assert [one.seq for one in repeats] == [3, 4]


async def test_a_log_is_read_page_by_page() -> None:
    def page(variables: dict[str, Any]) -> dict[str, Any]:
        is_first = variables["after"] is None
        info = {"hasNextPage": is_first, "endCursor": "c3" if is_first else "c7"}
        return {"run": {"events": {"pageInfo": info, "nodes": story()[:3] if is_first else story()[3:]}}}

    api = FakeApi(answers={"ReadLog": page})
    async with client_of(api) as client:
        assert [one.seq for one in await client.read_log(RUN)] == [1, 2, 3, 4, 5, 6, 7]
    assert [variables["after"] for _, variables in api.requests] == [None, "c3"]
