"""Logs of runs as lists show them: between two places, for several runs at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from domain.errors import NotFound
from domain.events import LoggedEvent
from domain.ports.paging import Page
from domain.ports.runs import LogPart
from persistence.event_facts import read_event

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from domain.ids import RunId
    from domain.ports.paging import PageRequest
    from domain.ports.runs import LogSpan

# How large they are is estimated without unpacking them: no method makes 1 KB of more than 90 (pglz) or 255 (lz4) KB.
_AFTER: Final = """
SELECT seq, at, type, node_key, item_index, execution, data::text AS data, found
  FROM (SELECT *, count(*) OVER () AS found, sum(size) OVER (ORDER BY seq ROWS UNBOUNDED PRECEDING) AS total
          FROM (SELECT *, coalesce(pg_column_size(data), 0)::float8
                          * CASE pg_column_compression(data) WHEN 'pglz' THEN 90 WHEN 'lz4' THEN 255 ELSE 1 END AS size
                  FROM run_events WHERE run_id = $1 AND seq > $2 ORDER BY seq LIMIT $3) AS page) AS sized
 WHERE total <= $4 OR total = size ORDER BY seq
"""
_IS_THERE: Final = "SELECT 1 FROM runs WHERE id = $1"
_PAGES: Final = """
SELECT asked.place, part.seq, part.at, part.type, part.node_key, part.item_index, part.execution, part.data
  FROM unnest($1::uuid[], $2::int[], $3::int[]) WITH ORDINALITY AS asked(run_id, after, before, place)
 CROSS JOIN LATERAL (
    SELECT e.seq, e.at, e.type, e.node_key, e.item_index, e.execution, e.data::text AS data
      FROM run_events e
     WHERE e.run_id = asked.run_id AND e.seq > asked.after AND e.seq < asked.before
     ORDER BY e.seq {order} LIMIT $4
 ) AS part
 ORDER BY asked.place, part.seq
"""
_FORWARD: Final = _PAGES.format(order="ASC")
_BACKWARD: Final = _PAGES.format(order="DESC")
_BEHIND_ALL: Final = 2**31 - 1
_BOUNDLESS: Final = float("inf")


async def read_events_after(
    connection: Any, run_id: RunId, after: int, limit: int, max_bytes: int | None = None
) -> LogPart:
    """Read the events of a run behind seq `after`, oldest first, until there may be more bytes than so many.

    Raises:
        NotFound: the run is gone.
    """
    bound = _BOUNDLESS if max_bytes is None else max_bytes
    rows = await connection.fetch(_AFTER, run_id, after, limit, bound)
    # Only then it is asked: nobody waits for events of a run that is not there.
    if not rows and await connection.fetchval(_IS_THERE, run_id) is None:
        raise NotFound("The run was deleted.")
    has_more = bool(rows) and (len(rows) == limit or len(rows) < rows[0]["found"])
    return LogPart([_logged(run_id, row) for row in rows], has_more)


async def read_log_pages(
    connection: Any, spans: Sequence[LogSpan], request: PageRequest
) -> Mapping[LogSpan, Page[LoggedEvent]]:
    """Read a page of each of the spans, in one statement."""
    places = [
        [span.run_id for span in spans],
        [span.after for span in spans],
        [_BEHIND_ALL if span.before is None else span.before for span in spans],
    ]
    events: list[list[LoggedEvent]] = [[] for _ in spans]
    for row in await connection.fetch(_BACKWARD if request.is_backward else _FORWARD, *places, request.limit + 1):
        index: int = row["place"] - 1
        events[index].append(_logged(spans[index].run_id, row))
    return {span: _page(span, found, request) for span, found in zip(spans, events, strict=True)}


def _page(span: LogSpan, found: list[LoggedEvent], request: PageRequest) -> Page[LoggedEvent]:
    has_more = len(found) > request.limit
    events = found[-request.limit :] if request.is_backward else found[: request.limit]
    has_next, has_previous = (span.before is not None, has_more) if request.is_backward else (has_more, span.after > 0)
    return Page(events, [str(event.seq) for event in events], has_next, has_previous)


def _logged(run_id: RunId, row: Any) -> LoggedEvent:
    event = read_event(row["type"], row["node_key"], row["item_index"], row["execution"], row["data"])
    return LoggedEvent(run_id, row["seq"], row["at"], event)
