"""Which of a run's nodes are listed."""

from __future__ import annotations

import re

import strawberry

from domain.errors import LimitExceeded
from domain.run import NodeRunQuery, NodeRunStatus
from domain.texts import check_text
from domain.workflow import KEY_PATTERN, MAX_NODES
from gql.absent import ABSENT, or_none

_MAX_TEXT = 256


@strawberry.input(description="Which node runs; all that is given must hold.")
class NodeRunFilter:
    """Which node runs."""

    node_keys: list[str] | None = strawberry.field(default=ABSENT, description="Of one of these nodes, 500 at most.")
    statuses: list[NodeRunStatus] | None = strawberry.field(default=ABSENT, description="In one of these states.")
    is_item: bool | None = strawberry.field(
        default=ABSENT, description="Whether it is an item of a `forEach`; false = the nodes as a whole."
    )


def is_key(text: str) -> bool:
    """Return whether a node may have this key; others may be no text that the database can hold."""
    return re.fullmatch(KEY_PATTERN, text) is not None


def node_run_query(given: NodeRunFilter | None) -> NodeRunQuery:
    """Convert a filter.

    Raises:
        InvalidInput: a text that is no key of a node.
        LimitExceeded: more than 500 keys.
    """
    if not given:
        return NodeRunQuery()
    keys = or_none(given.node_keys) or []
    if len(keys) > MAX_NODES:
        message = f"A filter names at most {MAX_NODES} nodes."
        raise LimitExceeded(message, limit=MAX_NODES, actual=len(keys), path=["filter", "nodeKeys"])
    checked = tuple(check_text(key, ["filter", "nodeKeys"], limit=_MAX_TEXT) for key in keys)
    return NodeRunQuery(checked, tuple(dict.fromkeys(or_none(given.statuses) or ())), or_none(given.is_item))
