"""Every place of the schema that takes an id, asked with ids that are not the caller's."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from graphql import is_object_type

from domain.ids import Prefix, decode_uuid, encode_uuid, split_global
from tests.gql.test_permissions import FIELDS, NARROWING, prefix_of, values
from tests.support.crawl import told
from tests.support.matrix import RootField, id_places

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from domain.identity import Principal
    from tests.support.api import Answer, Api
    from tests.support.reading import Reader, Reading

_OTHER_BITS = 0x5A5A_5A5A_5A5A
_STANDS_FOR_IT = "the id"
_LONGEST_S = 20.0


@dataclass(frozen=True)
class Place:
    """Where an id is given: an argument of a root field, or of a field of an object."""

    path: str
    """Such as `deleteSecret.input.id` or `Workspace.runs.filter.workflowIds`."""
    field: RootField | None = None
    """None for a field of an object."""

    @property
    def is_stream(self) -> bool:
        """Whether it belongs to a subscription."""
        return self.field is not None and self.field.operation == "subscription"

    @property
    def is_mutation(self) -> bool:
        """Whether it belongs to a mutation."""
        return self.field is not None and self.field.operation == "mutation"

    @property
    def is_narrowing(self) -> bool:
        """Whether the id only narrows what is asked for: of what is not there nothing is told."""
        return self.path in NARROWING

    @property
    def prefix(self) -> Prefix | None:
        """What the id means; None where ids of every type are taken."""
        if self.path in {"node.id", "nodes.ids"} or self.field is None:
            return None
        return prefix_of(self.path)


@dataclass
class Stranger:
    """Asks as one person, whose other arguments are acceptable: `own` has objects of every type."""

    api: Api
    who: Principal
    reader: Reader
    own: Mapping[Prefix, Sequence[str]]
    objects: Mapping[str, str]
    """An own object of each type that has fields with ids in their arguments."""
    silence_s: float = 0.3
    """How long a stream that only leaves out what is not asked for may have nothing to say."""
    asked: int = 0
    _unknown: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])
    _readings: dict[str, Reading] = field(default_factory=dict[str, "Reading"])

    @cached_property
    def places(self) -> Sequence[Place]:
        """Every place of the schema that takes an id."""
        return [*self._of_roots(), *self._of_objects()]

    def _of_roots(self) -> Iterator[Place]:
        for one in FIELDS:
            for path in one.ids:
                yield Place(path, one)

    def _of_objects(self) -> Iterator[Place]:
        schema = self.reader.schema
        roots = {schema.query_type, schema.mutation_type, schema.subscription_type}
        for kind in schema.type_map.values():
            if is_object_type(kind) and kind not in roots and not kind.name.startswith("__"):
                for name, declared in cast("Any", kind).fields.items():
                    for argument, given in declared.args.items():
                        for path in id_places(given.type, f"{kind.name}.{name}.{argument}"):
                            yield Place(path)

    async def is_told_the_same(self, place: Place, foreign: str) -> tuple[str, str]:
        """Return what is said of somebody else's object and of one that nobody has, each without its id."""
        unknown = nobodys(foreign)
        key = (place.path, foreign.partition("_")[0])
        if key not in self._unknown:
            self._unknown[key] = await self._told(place, unknown)
        return await self._told(place, foreign), self._unknown[key]

    async def _told(self, place: Place, one: str) -> str:
        answer = await self.ask(place, one)
        self.asked += 1
        _, rest = split_global(one)
        return told(answer, one).replace(str(decode_uuid(rest.partition(".")[0])), "the id")

    async def ask(self, place: Place, one: str) -> Answer | None:
        """Give an id at a place, and own ones at the others of the same field."""
        if place.field is None:
            return await self._ask_of_object(place, one)
        ids = {path: one if path == place.path else self.own[prefix_of(path)][0] for path in place.field.ids}
        variables = place.field.variables(ids, values(place.field))
        if place.is_stream:
            patience_s = self.silence_s if place.is_narrowing else _LONGEST_S
            return await self.api.first(place.field.document(), variables, caller=self.who, timeout_s=patience_s)
        return await self.api.run(place.field.document(), variables, caller=self.who)

    async def _ask_of_object(self, place: Place, one: str) -> Answer:
        reading = self._readings.get(place.path)
        if reading is None:
            kind, name = place.path.split(".")[:2]
            reader = replace(self.reader, ids={place.path: _STANDS_FOR_IT})
            readings = reader.of_node(kind, self.objects[kind])
            reading = self._readings[place.path] = next(found for found in readings if found.path[-1] == name)
        return await self.api.run(reading.document, _given(reading.variables, one), caller=self.who)


def _given(variables: object, one: str) -> Any:
    if isinstance(variables, list):
        return [_given(inner, one) for inner in cast("list[object]", variables)]
    if isinstance(variables, dict):
        return {name: _given(inner, one) for name, inner in cast("dict[str, object]", variables).items()}
    return one if variables == _STANDS_FOR_IT else variables


def nobodys(one: str) -> str:
    """Return an id as well formed as another, of the same moment, that stands for nothing."""
    prefix, rest = split_global(one)
    text, dot, behind = rest.partition(".")
    return f"{prefix.value}_{encode_uuid(UUID(int=decode_uuid(text).int ^ _OTHER_BITS))}{dot}{behind}"
