"""The fields of a question's form, as a terminal can ask for them; what is typed is checked at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

import orjson

from domain.errors import InvalidInput
from runtime.input_schema import check_values

if TYPE_CHECKING:
    from domain.json_value import Json

_YES = {"y", "yes", "true"}
_NO = {"n", "no", "false"}
_KINDS = {"integer": "whole number", "number": "number", "boolean": "yes or no", "string": "text"}
_ROOT: Final = ("$defs", "definitions")


class NotTaken(Exception):
    """What was typed is no value of the field; the message says why."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field to fill in; `name` None = the values are this one value, without names."""

    name: str | None
    schema: dict[str, Any]
    is_required: bool

    @property
    def prompt(self) -> str:
        """What is asked for, of which kind, and what an empty line means."""
        notes = [self._kind, *self._empty]
        return f"{self.schema.get('title') or self.name or 'Values'} ({', '.join(notes)}):"

    @property
    def description(self) -> str | None:
        """What the author says about it."""
        text = self.schema.get("description")
        return text if isinstance(text, str) else None

    @property
    def is_answered_without(self) -> bool:
        """Whether an empty line is an answer."""
        return "default" in self.schema or not self.is_required

    def read(self, line: str) -> tuple[bool, Json]:
        """Return whether there is a value, and the value that a line means.

        Raises:
            NotTaken: it means none, or one that the form does not allow.
        """
        if not line:
            if not self.is_answered_without:
                raise NotTaken("This is required.")
            return "default" in self.schema, self.schema.get("default")
        value = self._meant(line)
        try:
            check_values(cast("Json", self.schema), value)
        except InvalidInput as fault:
            raise NotTaken(fault.message.partition(": ")[2] or fault.message) from fault
        return True, value

    def meant(self, text: str) -> Json:
        """Return the value of a text on a command line: as typed where that is wanted, else as JSON where it is JSON."""
        return text if self._type == "string" or text in self._options else plain(text)

    @property
    def _kind(self) -> str:
        if self._options:
            return "one of " + ", ".join(_written(option) for option in self._options)
        bounds = [
            f"{word} {self.schema[key]}" for key, word in (("minimum", "from"), ("maximum", "to")) if key in self.schema
        ]
        return " ".join([_KINDS.get(self._type, "JSON"), *bounds])

    @property
    def _empty(self) -> list[str]:
        if "default" in self.schema:
            return [f"empty = {_written(self.schema['default'])}"]
        return [] if self.is_required else ["may be empty"]

    @property
    def _type(self) -> str:
        said: Any = self.schema.get("type")
        if isinstance(said, list):
            named = [one for one in cast("list[Any]", said) if one != "null"]
            said = named[0] if len(named) == 1 else None
        return said if isinstance(said, str) else ""

    @property
    def _options(self) -> list[Any]:
        options: Any = self.schema.get("enum")
        return cast("list[Any]", options) if isinstance(options, list) else []

    def _meant(self, line: str) -> Json:
        """Return the value that a line stands for by the type of the field.

        Raises:
            NotTaken: it stands for none.
        """
        for option in self._options:
            if _written(option) == line:
                return option
        if self._options:
            raise NotTaken(f"{line!r} is none of these: {', '.join(map(_written, self._options))}.")
        if self._type == "string":
            return line
        if self._type == "boolean":
            if line.lower() not in _YES | _NO:
                raise NotTaken(f"{line!r} is neither yes nor no.")
            return line.lower() in _YES
        try:
            return orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise NotTaken(f"{line!r} is no {_KINDS.get(self._type, 'JSON')}.") from error


def fields_of(form: Any) -> list[Field]:
    """Return what a form asks for: each property of an object, or one value."""
    if not isinstance(form, dict):
        return []
    schema = cast("dict[str, Any]", form)
    properties: Any = schema.get("properties")
    if not isinstance(properties, dict) or not properties:
        return [Field(None, schema, is_required=True)]
    required: Any = schema.get("required")
    names: list[Any] = cast("list[Any]", required) if isinstance(required, list) else []
    shared = {key: schema[key] for key in _ROOT if key in schema}
    return [
        # References lead to the root of a schema, which a field checked alone is.
        Field(name, {**shared, **cast("dict[str, Any]", about)}, is_required=name in names)
        for name, about in cast("dict[str, Any]", properties).items()
        if isinstance(about, dict)
    ]


def plain(text: str) -> Json:
    """Return what a text holds where it is JSON, else the text."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def _written(value: object) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()
