from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, cast

import aiohttp
import pytest
from pydantic import SecretStr

from domain.run import RunStatus
from gql.logs import configure_logs
from runtime.metrics import Metrics
from tests.support.graphql_socket import opened
from tests.support.logs import logs_as_before
from tests.support.probe import Probe, probe_settings, probing
from tests.support.prometheus import values
from tests.support.server_process import Caller
from tests.support.services import settings_on
from tests.support.streams import streamed
from tests.support.waiting import until
from tests.support.whole_server import serving_anabranch

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

__all__ = ["logs_as_before"]

UNFINISHED = [status.value.lower() for status in RunStatus if not status.is_finished]


@pytest.fixture
async def probe() -> AsyncGenerator[Probe]:
    async with probing() as probe:
        yield probe


@pytest.fixture
async def http() -> AsyncGenerator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as http:
        yield http


async def scraped(http: aiohttp.ClientSession, url: str) -> str:
    async with http.get(f"{url}/metrics") as answer:
        assert answer.status == 200
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        return await answer.text()


async def test_operations_are_counted_by_name_type_transport_and_outcome(
    probe: Probe, http: aiohttp.ClientSession
) -> None:
    token, _ = probe.sessions.sign_in()
    known = {"authorization": f"Bearer {token}"}
    for query in ("query Shown { server { version } }", "query Bad { slow }", "query Broken { boom }", "{ nothing }"):
        await http.post(probe.graphql, json={"query": query}, headers=known)
    await http.post(probe.graphql, json={"query": "query Invented { server { version } }"})
    await http.post(probe.graphql, data=b"no JSON", headers={"content-type": "application/json"})
    async with opened(probe) as socket:
        await socket.init(**known)
        await socket.subscribe("1", "subscription Ticks { count(to: 2) }")
        while (await socket.receive())["type"] != "complete":
            pass
    text = await scraped(http, probe.url)
    # operation, outcome, transport, type
    assert values(text, "anabranch_requests_total") == {
        ("Shown", "ok", "http", "query"): 1,
        ("Bad", "error", "http", "query"): 1,
        ("Broken", "fault", "http", "query"): 1,
        ("", "error", "http", "query"): 1,
        ("", "ok", "http", "query"): 1,
        ("", "refused", "http", "unknown"): 1,
        ("Ticks", "ok", "socket", "subscription"): 1,
    }
    assert values(text, "anabranch_request_duration_seconds_count")["Shown", "http", "query"] == 1
    assert values(text, "anabranch_runs") == {("queued",): 3}
    assert values(text, "anabranch_database_up") == {(): 1}


async def test_the_gauges_of_sockets_and_streams_are_read_while_they_are_open(
    probe: Probe, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.metrics._SAMPLE_S", 0.01)
    metrics = cast("Any", probe.services).metrics
    sampling = asyncio.create_task(metrics.run(), name="sampling")
    async with opened(probe) as socket, streamed(probe.graphql, "subscription { endless }"):
        await socket.init()
        await socket.subscribe("1", "subscription { endless }")

        async def are_counted() -> bool:
            text = await scraped(http, probe.url)
            gauges = ("sockets", "socket_operations", "streams")
            return [values(text, f"anabranch_{gauge}") for gauge in gauges] == [{(): 1}] * 3

        await until(are_counted)
    sampling.cancel()
    await asyncio.wait([sampling])


async def test_a_database_that_does_not_answer_is_told_and_the_rest_as_well(
    probe: Probe, http: aiohttp.ClientSession
) -> None:
    probe.witness.unready.append("The database does not answer.")
    text = await scraped(http, probe.url)
    assert values(text, "anabranch_database_up") == {(): 0}
    assert values(text, "anabranch_runs") == {}
    assert "anabranch_log_commits_total" in text


def test_names_that_clients_invent_do_not_fill_the_memory() -> None:
    metrics = Metrics()
    for number in range(1_000):
        metrics.answered(f"Op{number}", "query", "http", "ok", 0.1)
    counted = values(metrics.exposition().decode(), "anabranch_requests_total")
    assert len(counted) == 201
    assert counted["(other)", "ok", "http", "query"] == 800


@pytest.mark.parametrize(
    ("host", "token", "given", "status"),
    [
        ("127.0.0.1", None, None, 200),
        ("0.0.0.0", None, None, 403),  # noqa: S104 -- what the settings say; the test listens on loopback
        ("127.0.0.1", "of-prometheus", None, 401),
        ("127.0.0.1", "of-prometheus", "Bearer of-promethea", 401),
        ("127.0.0.1", "of-prometheus", "Bearer é", 401),
        ("0.0.0.0", "of-prometheus", "Bearer of-prometheus", 200),  # noqa: S104 -- the same
    ],
)
async def test_metrics_are_for_those_who_may(
    host: str, token: str | None, given: str | None, status: int, http: aiohttp.ClientSession
) -> None:
    secret = None if token is None else SecretStr(token)
    settings = probe_settings().model_copy(update={"host": host, "metrics_token": secret})
    headers = {} if given is None else {"authorization": given}
    async with probing(settings, address="127.0.0.1") as probe, http.get(f"{probe.url}/metrics", headers=headers) as it:
        assert it.status == status
        assert ("anabranch_" in await it.text()) is (status == 200)


async def test_runs_commits_and_deliveries_are_measured(
    database_url: str, tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    async with serving_anabranch(settings_on(database_url, tmp_path)) as url:
        caller = Caller(url, http)
        await caller.sign_up()
        node = {"key": "pause", "config": {"wait": {"durationMs": 300}}}
        run_id = await caller.start(await caller.create(name="Pause", graph={"nodes": [node], "edges": []}))
        assert (await caller.ended(run_id))[-1]["__typename"] == "RunSucceeded"
        text = await scraped(http, url)
    assert values(text, "anabranch_runs_ended_total") == {("succeeded",): 1}
    assert values(text, "anabranch_log_commits_total")[()] >= 1
    assert values(text, "anabranch_log_commit_events_sum")[()] >= 2
    assert values(text, "anabranch_delivery_lag_seconds_count")[()] >= 1
    assert values(text, "anabranch_runs") == {(status,): 0 for status in UNFINISHED}


async def test_each_operation_is_one_line_with_its_request_and_nothing_that_it_says(
    probe: Probe, http: aiohttp.ClientSession, logs_as_before: None, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs(is_for_people=False)
    query = 'mutation Said($text: String!) { probe(input: {text: $text, names: ["canary-literal"]}) { text } }'
    body = {"query": query, "variables": {"text": "canary-variable"}}
    async with http.post(probe.graphql, json=body, headers={"x-request-id": "from.proxy-1"}) as answer:
        assert answer.headers["x-request-id"] == "from.proxy-1"
    async with http.post(probe.graphql, json={"query": "{ boom }"}, headers={"x-request-id": "forged id"}) as answer:
        own = answer.headers["x-request-id"]
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    told = [line for line in lines if line["event"] == "operation"]
    assert [(line["operation"], line["type"], line["outcome"], line["request"]) for line in told] == [
        ("Said", "mutation", "ok", "from.proxy-1"),
        (None, "query", "fault", own),
    ]
    assert own != "forged id"
    assert [line["request"] for line in lines if line["level"] == "error"] == [own], "a fault is told with its request"
    assert "canary" not in str(lines)
