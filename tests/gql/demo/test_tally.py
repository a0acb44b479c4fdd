from __future__ import annotations

from typing import Any

from gql.client.events import read_event
from gql.demo.tally import Claim, Kill, Tally
from tests.support.fake_api import delta, event, node_event

LOG: list[dict[str, Any]] = [
    event(1, "RunQueued"),
    node_event(2, "NodeStarted", "find"),
    node_event(3, "NodeSucceeded", "find"),
    node_event(4, "NodeStarted"),
    delta(5, "Hel", 0),
    event(6, "RunRecovered", restartedNodeKeys=["ask"]),
    node_event(7, "NodeStarted", attempt=2),
    node_event(8, "NodeOutputDelta", attempt=2, channel="TEXT", text="Hello", offset=0),
    node_event(9, "NodeSucceeded", attempt=2),
    event(10, "RunSucceeded"),
]


def claims_of(arrived: list[dict[str, Any]], log: list[dict[str, Any]] = LOG, wanted: int = 1) -> dict[str, Claim]:
    tally = Tally([read_event(raw) for raw in arrived], [Kill(1, frozenset({"find"}))])
    return {claim.what: claim for claim in tally.claims([read_event(raw) for raw in log], wanted)}


def test_a_run_that_was_killed_and_lost_nothing_holds_every_claim() -> None:
    claims = claims_of(LOG)
    assert all(claim.is_true for claim in claims.values())
    assert {what: claim.counted for what, claim in claims.items()} == {
        "kills in mid-stream": 1,
        "recoveries": 1,
        "nodes kept": 1,
        "events lost": 0,
        "events doubled": 0,
    }


def test_an_event_that_never_arrived_is_lost() -> None:
    assert claims_of([*LOG[:4], *LOG[5:]])["events lost"].counted == 1


def test_an_event_that_the_log_itself_has_lost_is_lost() -> None:
    gap = [*LOG[:4], *LOG[5:]]
    assert claims_of(gap, gap)["events lost"].counted == 1


def test_a_kill_before_any_node_was_done_keeps_nothing_and_does_not_pass() -> None:
    tally = Tally([read_event(raw) for raw in LOG], [Kill(1, frozenset())])
    [kept] = [claim for claim in tally.claims(tally.arrived, 1) if claim.what == "nodes kept"]
    assert str(kept) == "nodes kept 0, and it has to be 1"


def test_an_event_that_came_twice_is_doubled() -> None:
    assert claims_of([*LOG[:5], LOG[4], *LOG[5:]])["events doubled"].counted == 1


def test_an_event_that_arrived_as_another_than_it_was_stored_is_lost_and_its_stranger_doubled() -> None:
    claims = claims_of([*LOG[:4], delta(5, "Hal", 0), *LOG[5:]])
    assert (claims["events lost"].counted, claims["events doubled"].counted) == (1, 1)


def test_a_node_that_was_done_and_ran_again_is_not_kept() -> None:
    again = [*LOG[:6], node_event(7, "NodeStarted", "find", attempt=2), *LOG[7:]]
    claim = claims_of(again, again)["nodes kept"]
    assert not claim.is_true
    assert str(claim) == "nodes kept 0, and it has to be 1"


def test_fewer_kills_or_recoveries_than_wanted_do_not_pass() -> None:
    claims = claims_of([*LOG[:5], *LOG[6:]], [*LOG[:5], *LOG[6:]], wanted=2)
    assert not claims["kills in mid-stream"].is_true
    assert not claims["recoveries"].is_true
