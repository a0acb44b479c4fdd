"""Everything that one person can see, found by asking: ids and cursors, and all that the answers say."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from domain.ids import Prefix
from tests.gql.test_permissions import OF_ALL_TYPES
from tests.support.reading import identified

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from domain.identity import Principal
    from tests.support.api import Answer, Api
    from tests.support.reading import Reader

_PREFIXES = "|".join(prefix.value for prefix in Prefix)
_ID = re.compile(rf"\b(?:{_PREFIXES})_[0-7][0-9a-hjkmnp-tv-z]{{25}}(?:\.[A-Za-z0-9_-]+(?:\.[0-9]+)?)?")
_CURSORS = ("cursor", "startCursor", "endCursor")
_EVENTS = """subscription ($run: ID!) { runEvents(runId: $run) { __typename cursor runId run { id }
  ... on NodeSucceeded { output } ... on ApprovalRequested { approval { id } } } }"""
_NODES = "query ($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }"


@dataclass
class Crawl:
    """What `who` was answered; of each type at most `most` objects are read in whole, but every id is kept."""

    api: Api
    who: Principal
    reader: Reader
    most: int = 4
    ids: set[str] = field(default_factory=set[str])
    cursors: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Of lists by the type of their connection, and those of events under `RunEvent`."""
    met: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Ids of the objects that were read, by type."""
    said: list[str] = field(default_factory=list[str])
    """All answers as text."""
    totals: Counter[tuple[str, int]] = field(default_factory=Counter[tuple[str, int]])
    """How often the connections of a type told a total."""

    async def whole(self, known: Iterable[str]) -> Crawl:
        """Read what is reachable from the root, from ids that are known, and from all that is met on the way."""
        open_: list[tuple[str, str]] = []
        await self._ask(_NODES, {"ids": list(known)}, open_)
        root = cast("Any", self.reader.schema.query_type).fields
        for reading in self.reader.of_query(name for name in root if name not in OF_ALL_TYPES):
            await self._ask(reading.document, reading.variables, open_)
        while open_:
            for reading in self.reader.of_node(*open_.pop()):
                await self._ask(reading.document, reading.variables, open_)
        return self

    async def events(self, run_id: str) -> None:
        """Read the log of a run that has ended, or the log that is there of another."""
        async with aclosing(self.api.stream(_EVENTS, {"run": run_id}, caller=self.who, silence_s=1)) as stream:
            async for answer in stream:
                self._keep(answer.data)

    async def _ask(self, document: str, variables: Mapping[str, object], open_: list[tuple[str, str]]) -> None:
        answer = await self.api.run(document, variables, caller=self.who)
        self._keep(answer.data)
        for kind, one in identified(answer.data):
            if one not in self.met[kind] and len(self.met[kind]) < self.most:
                self.met[kind].add(one)
                open_.append((kind, one))

    def _keep(self, data: object) -> None:
        self.said.append(str(data))
        self.ids |= ids_in(data)
        for kind, cursor in _cursors_in(data, ""):
            self.cursors[kind].add(cursor)
        self.totals.update(_totals_in(data))

    def of_prefix(self, prefix: Prefix) -> list[str]:
        """Return the ids of one type, in order."""
        return sorted(one for one in self.ids if one.startswith(f"{prefix.value}_"))


def ids_in(data: object) -> set[str]:
    """Return every id that stands anywhere in an answer, in texts and in JSON as well."""
    return set(_ID.findall(str(data)))


def told(answer: Answer | None, one: str) -> str:
    """Return what an answer says, apart from the id that was asked for."""
    return "nothing" if answer is None else str((answer.data, answer.errors)).replace(one, "the id")


def _cursors_in(data: object, kind: str) -> Iterator[tuple[str, str]]:
    if isinstance(data, list):
        for one in cast("list[object]", data):
            yield from _cursors_in(one, kind)
    elif isinstance(data, dict):
        fields = cast("dict[str, object]", data)
        own = str(fields.get("__typename", kind))
        # Edges and page infos belong to the connection around them; whoever has a cursor of its own is an event.
        kind = own if own.endswith("Connection") else kind or "RunEvent"
        for name, value in fields.items():
            if name in _CURSORS and isinstance(value, str):
                yield kind, value
            else:
                yield from _cursors_in(value, kind)


def _totals_in(data: object) -> Iterator[tuple[str, int]]:
    if isinstance(data, list):
        for one in cast("list[object]", data):
            yield from _totals_in(one)
    elif isinstance(data, dict):
        fields = cast("dict[str, object]", data)
        if "totalCount" in fields:
            yield str(fields.get("__typename")), cast("int", fields["totalCount"])
        for value in fields.values():
            yield from _totals_in(value)
