"""Which runs a list holds, and in which order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from sqlalchemy import BigInteger, ColumnElement, cast, func, literal, literal_column
from sqlalchemy.dialects.postgresql import JSONB

from domain.run import FINISHED, RunLink, RunOrderField, TriggerKind
from persistence.tables import runs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.ids import WorkspaceId
    from domain.run import RunOrder, RunQuery

Keys = list[tuple[ColumnElement[Any], type[str | int | UUID]]]

_BEHIND_ALL: Final = 2**62
"""Microseconds that nothing takes and no clock shows."""
_CODE: Final[ColumnElement[Any]] = literal_column("(runs.failure ->> 'code')")
_PAIR: Final[ColumnElement[Any]] = literal_column("'strict $[*] ? (@[0] == $name && @[1] == $value)'::jsonpath")


def in_workspace(workspace_id: WorkspaceId) -> ColumnElement[bool]:
    """Return the condition that a run belongs to a workspace."""
    return runs.c.workspace_id == workspace_id


def is_unfinished() -> ColumnElement[bool]:
    """Return the condition that a run may still change."""
    return runs.c.status.not_in([status.value for status in FINISHED])


def conditions_of(query: RunQuery) -> list[ColumnElement[bool]]:
    """Return the conditions of a query, which must all hold."""
    conditions: list[ColumnElement[bool]] = []
    for column, values in (
        (runs.c.workflow_id, query.workflow_ids),
        (runs.c.status, [status.value for status in query.statuses]),
        (runs.c.trigger, [trigger.value for trigger in query.triggers]),
        # As the index has it, which holds nothing but runs that failed, in the order of lists.
        (_CODE, query.error_codes),
    ):
        if values:
            conditions.append(column.in_(values))
    if query.error_codes:
        conditions.append(runs.c.failure.is_not(None))
    if query.created_from is not None:
        conditions.append(runs.c.created_at >= query.created_from)
    if query.created_until is not None:
        conditions.append(runs.c.created_at < query.created_until)
    conditions += _labelled(query.labels)
    if query.concurrency_key is not None:
        conditions.append(runs.c.concurrency_key == query.concurrency_key)
    if query.is_top_level is not None:
        is_called = runs.c.trigger == TriggerKind.SUBWORKFLOW.value
        conditions.append(~is_called if query.is_top_level else is_called)
    return conditions


def _labelled(labels: Sequence[tuple[str, str]]) -> list[ColumnElement[bool]]:
    if not labels:
        return []
    # The first two are there for the index, which has only runs with labels. They would not do: within arrays `@>` asks
    # neither for the order nor for the number, so name and value might be swapped.
    wanted = literal([list(label) for label in labels], JSONB)
    return [runs.c.labels != literal_column("'[]'::jsonb"), runs.c.labels.contains(wanted), *map(_has_label, labels)]


def _has_label(label: tuple[str, str]) -> ColumnElement[bool]:
    # No subquery: with one the planner takes a walk through the newest runs for dear, and sorts all that have the label.
    return func.jsonb_path_exists(runs.c.labels, _PAIR, literal({"name": label[0], "value": label[1]}, JSONB))


def linked(link: RunLink) -> tuple[ColumnElement[UUID], Sequence[ColumnElement[bool]]]:
    """Return the column that says which run a run came from, and what else holds of it."""
    if link is RunLink.CALLED:
        return runs.c.parent_run_id, []
    return runs.c.rerun_of, [runs.c.trigger == TriggerKind.RERUN.value]


def keys_of(order: RunOrder) -> Keys:
    """Return the keys of an order; ids are ordered by the time of their making."""
    unique: tuple[ColumnElement[Any], type[UUID]] = (runs.c.id, UUID)
    match order.field:
        case RunOrderField.CREATED_AT:
            return [unique]
        case RunOrderField.FINISHED_AT:
            return [(_placed(runs.c.finished_at, order).label("finished_us"), int), unique]
        case RunOrderField.DURATION:
            lasted = runs.c.finished_at - runs.c.started_at
            return [(_placed(lasted, order).label("lasted_us"), int), unique]


def added(keys: Keys) -> Sequence[ColumnElement[Any]]:
    """Return the keys that are no columns, and so have to be selected beside them."""
    return [key for key, kind in keys if kind is int]


def _placed(time: ColumnElement[Any], order: RunOrder) -> ColumnElement[int]:
    # Whole microseconds are exact. A run that has no such time yet is behind all others, whichever way the list runs.
    microseconds = cast(func.extract("epoch", time) * 1_000_000, BigInteger)
    return func.coalesce(microseconds, literal(-1 if order.is_descending else _BEHIND_ALL, BigInteger))
