from __future__ import annotations

from typing import cast
from uuid import uuid4

from asyncpg.pgproto.pgproto import UUID as DriversUuid  # noqa: N811 -- as in `uuid`

from domain.events import NodeExpanded, NodeProgressed, RunPaused
from domain.ids import UserId
from persistence.event_facts import facts, read_event
from persistence.run_rows import event_key


def test_the_number_of_items_and_how_many_have_ended_are_read_back_as_they_were_logged() -> None:
    for event in (NodeExpanded("each", None, 1, 10_000), NodeProgressed("each", None, 1, 100, 10_000)):
        assert read_event(event.type, "each", None, 1, facts(event)) == event


def test_a_list_is_expanded_once_and_its_progress_is_told_many_times() -> None:
    assert event_key(NodeExpanded("each", None, 1, 3)) == "NodeExpanded/each/-/1"
    assert event_key(NodeProgressed("each", None, 1, 2, 3)) == "NodeProgressed/each/-/1/2"
    assert event_key(NodeProgressed("each", None, 1, 3, 3)) == "NodeProgressed/each/-/1/3"


def test_who_did_something_may_come_from_the_database() -> None:
    by = UserId(uuid4())
    driven = cast("UserId", DriversUuid(str(by)))
    assert facts(RunPaused(1, driven)) == facts(RunPaused(1, by))
    assert read_event("RunPaused", None, None, None, facts(RunPaused(1, driven))) == RunPaused(1, by)
