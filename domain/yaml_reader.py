"""Reads the YAML that workflow files use: JSON's values in YAML's clothes, and where in the text each of them stands."""

# ruamel.yaml annotates its events and marks with nothing.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
)
from ruamel.yaml.reader import ReaderError

from domain.errors import DocumentFault, FileProblem
from domain.problems import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from domain.json_value import Json

SYNTAX: Final = "YAML_SYNTAX"
MAX_BYTES: Final = 1_048_576
MAX_DEPTH: Final = 80
MAX_VALUES: Final = 100_000
_MAX_DIGITS: Final = 4_000
_CLEVER: Final = "NOT_READ"

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_WORDS: Final[dict[str, bool | None]] = {"": None, "null": None, "~": None, "true": True, "false": False}

Steps = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a text; lines and columns start at 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class MarkedValue:
    """A value, and the place of everything in it; an entry of a mapping stands where its key stands."""

    value: Json
    places: dict[Steps, Place]

    def place(self, steps: Steps) -> Place:
        """Return where a value stands, or the nearest value around it."""
        for length in range(len(steps), -1, -1):
            if (found := self.places.get(steps[:length])) is not None:
                return found
        return Place(1, 1)


def read_yaml(text: str) -> MarkedValue:
    """Read one document.

    Plain words are text, except numbers as JSON writes them, `true`, `false` and `null`: there is no way to get a
    date, an octal number or a Norwegian `no` by accident. Anchors, aliases, tags and duplicate keys are refused.

    Raises:
        DocumentFault: not such a document; its problem names line and column.
    """
    if len(text) > MAX_BYTES or len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise _fault(Place(1, 1), f"The file is larger than {MAX_BYTES:,} bytes.", code="TOO_LARGE")
    try:
        return _Reader(_events(text)).document()
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(1, 1) if mark is None else Place(mark.line + 1, mark.column + 1)
        raise _fault(place, f"This is not YAML: {error.problem or error.context}.", _hint(text, place)) from error
    except ReaderError as error:
        message = f"This is not YAML: the character U+{error.character:04X} cannot stand in a file as it is."
        raise _fault(_place_of(text, error.position), message, 'Write it in double quotes, as in "\\x07".') from error
    except YAMLError as error:
        raise _fault(Place(1, 1), f"This is not YAML: {' '.join(str(error).split())[:200]}.") from error


def resolve(text: str) -> Json:
    """Return what a plain scalar means.

    Raises:
        ValueError: a number too long to be read.
    """
    if text.lower() in _WORDS and text in {text.lower(), text.upper(), text.capitalize()}:
        return _WORDS[text.lower()]
    match = _NUMBER.fullmatch(text)
    if match is None:
        return text
    if len(text) > _MAX_DIGITS:
        raise ValueError("The number has too many digits.")
    if match[1] is None and match[2] is None:
        return int(text)
    number = float(text)
    if number in {float("inf"), float("-inf")}:
        raise ValueError("The number is too large.")
    return number


class _Yaml(YAML):
    def official_plug_ins(self) -> list[str]:
        """Look for no plug-ins: the stock method searches directories each time."""
        return []


def _events(text: str) -> Iterator[Event]:
    return _Yaml(typ="safe", pure=True).parse(text)


def _fault(place: Place, message: str, hint: str | None = None, *, code: str = SYNTAX) -> DocumentFault:
    return DocumentFault([FileProblem(place.line, place.column, message, hint, code)])


def _place_of(text: str, position: int) -> Place:
    line = text.count("\n", 0, position)
    return Place(line + 1, position - text.rfind("\n", 0, position))


def _hint(text: str, place: Place) -> str | None:
    lines = text.splitlines()
    line = lines[place.line - 1] if place.line <= len(lines) else ""
    return _QUOTE_IT if "{{" in line else None


_QUOTE_IT = 'Put a template in quotes, as in "{{ nodes.answer.output.text }}", or under a `|`.'


@dataclass(slots=True)
class _Reader:
    events: Iterator[Event]
    places: dict[Steps, Place] = field(default_factory=dict)

    def document(self) -> MarkedValue:
        next(self.events)
        start = next(self.events)
        if not isinstance(start, DocumentStartEvent):
            raise _fault(Place(1, 1), "The file is empty.")
        value = self._value(next(self.events), ())
        next(self.events)
        rest = next(self.events)
        if isinstance(rest, DocumentStartEvent):
            raise _fault(_place(rest), "The file holds a second document; a file is one workflow.")
        return MarkedValue(value, self.places)

    def _value(self, event: Event, steps: Steps) -> Json:
        place = _place(event)
        self.places.setdefault(steps, place)
        self._refuse_cleverness(event, place)
        if len(self.places) > MAX_VALUES:
            raise _fault(place, f"The file holds more than {MAX_VALUES:,} values.", code="TOO_LARGE")
        if len(steps) > MAX_DEPTH:
            raise _fault(place, f"Values are nested deeper than {MAX_DEPTH} levels.", code="TOO_DEEP")
        if isinstance(event, ScalarEvent):
            return _scalar(event, place)
        if isinstance(event, MappingStartEvent):
            return self._mapping(steps)
        return self._sequence(steps)

    def _refuse_cleverness(self, event: Event, place: Place) -> None:
        if isinstance(event, AliasEvent) or (isinstance(event, NodeEvent) and event.anchor is not None):
            raise _fault(
                place, "Anchors and aliases are not read in workflow files.", "Write the value out.", code=_CLEVER
            )
        if isinstance(event, ScalarEvent | CollectionStartEvent) and event.tag is not None:
            raise _fault(
                place, "Tags are not read in workflow files.", "Write the value without its `!tag`.", code=_CLEVER
            )

    def _mapping(self, steps: Steps) -> Json:
        mapping: dict[str, Json] = {}
        while not isinstance(event := next(self.events), MappingEndEvent):
            place = _place(event)
            if not isinstance(event, ScalarEvent):
                raise _fault(place, "A key must be a text.", _QUOTE_IT)
            self._refuse_cleverness(event, place)
            key = str(event.value)
            if key in mapping:
                raise _fault(place, f"The key {shown(key)} is here twice.", code="DUPLICATE_KEY")
            self.places[(*steps, key)] = place
            mapping[key] = self._value(next(self.events), (*steps, key))
        return mapping

    def _sequence(self, steps: Steps) -> Json:
        items: list[Json] = []
        while not isinstance(event := next(self.events), SequenceEndEvent):
            items.append(self._value(event, (*steps, len(items))))
        return items


def _place(event: Event) -> Place:
    return Place(event.start_mark.line + 1, event.start_mark.column + 1)


def _scalar(event: ScalarEvent, place: Place) -> Json:
    text = str(event.value)
    if not event.implicit[0]:
        return text
    try:
        return resolve(text)
    except ValueError as error:
        raise _fault(place, str(error), code="INVALID_VALUE") from error
