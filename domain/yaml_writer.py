"""Writes plain JSON values as YAML for people: block style, few quotes, the same text for the same value."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from domain.json_value import Json

_PLAIN = re.compile(r"""[^\W\d](?:[\w ./+()@,;=<>?!&%$'"|^*{}\[\]\\~-]|:(?=[^\s:]))*""")
# What readers of YAML 1.1 or 1.2 would take for something other than text.
_NOT_TEXT: Final = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})
_ESCAPES: Final = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
# YAML reads a key without `?` only up to 1,024 characters.
_LONGEST_SIMPLE_KEY: Final = 1_000
_BYTE, _WIDE = 0xFF, 0xFFFF
_EXACT: Final = 1e15


class Row(tuple[float, ...]):
    """Numbers that stand on one line, such as `[200, 0]`."""

    __slots__ = ()


class Flow(tuple[tuple[str, str], ...]):
    """Names with texts that stand on one line, such as `{source: "a b", target: "c"}`."""

    __slots__ = ()


def write_yaml(value: Mapping[str, Json | Row]) -> str:
    """Return a document; `read_yaml` gives the equal value back."""
    return "".join(f"{line}\n" for line in _mapping(value, 0))


def _mapping(value: Mapping[str, Json | Row], indent: int) -> Iterator[str]:
    pad = "  " * indent
    for key, item in value.items():
        name = _text(key)
        if len(name) > _LONGEST_SIMPLE_KEY:
            yield f"{pad}? {name}"
            name = ""
        yield from _hang(f"{pad}{name}:", item, indent)


def _sequence(value: Sequence[Json], indent: int) -> Iterator[str]:
    pad = "  " * indent
    for item in value:
        if isinstance(item, Flow):
            yield f"{pad}- {{{', '.join(f'{name}: {_quoted(text)}' for name, text in item)}}}"
        elif isinstance(item, Mapping | list | tuple) and item:
            # The first line of what is inside stands behind the dash.
            lines = _block(item, indent + 1)
            yield f"{pad}- {next(lines).lstrip(' ')}"
            yield from lines
        else:
            yield from _hang(f"{pad}-", item, indent)


def _block(value: Json, indent: int) -> Iterator[str]:
    return _mapping(value, indent) if isinstance(value, Mapping) else _sequence(_list(value), indent)


def _hang(head: str, value: Json | Row, indent: int) -> Iterator[str]:
    """Yield a value behind its key or dash, or below it."""
    if isinstance(value, Row):
        yield f"{head} [{', '.join(_number(number) for number in value)}]"
    elif isinstance(value, Mapping):
        yield head if value else f"{head} {{}}"
        yield from _mapping(value, indent + 1)
    elif isinstance(value, list | tuple):
        yield head if value else f"{head} []"
        yield from _sequence(_list(value), indent + 1)
    elif isinstance(value, str) and _is_literal(value):
        pad, lines = "  " * (indent + 1), value.removesuffix("\n").split("\n")
        # Where the first words are indented, YAML has to be told which of the spaces are theirs.
        width = "2" if next(filter(None, lines)).startswith(" ") else ""
        end = "-" if not value.endswith("\n") else "" if lines[-1] else "+"
        yield f"{head} |{width}{end}"
        yield from (f"{pad}{line}" if line else "" for line in lines)
    else:
        yield f"{head} {_scalar(value)}"


def _list(value: Json | Row) -> Sequence[Json]:
    return value if isinstance(value, list | tuple) else ()


def _number(number: float) -> str:
    # Whole numbers without their `.0`, as far as they are exact; minus zero is one of its own.
    is_short = number.is_integer() and abs(number) < _EXACT and repr(number) != "-0.0"
    return str(int(number)) if is_short else repr(number)


def _scalar(value: Json) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return _text(value) if isinstance(value, str) else repr(value)


def _text(text: str) -> str:
    is_plain = _PLAIN.fullmatch(text) is not None and not text.endswith(" ") and text.isprintable()
    if is_plain and text.lower() not in _NOT_TEXT:
        return text
    if text.isprintable() and ('"' in text or "\\" in text):
        return "'" + text.replace("'", "''") + "'"
    return _quoted(text)


def _quoted(text: str) -> str:
    return f'"{"".join(map(_escaped, text))}"'


def _escaped(letter: str) -> str:
    if (escape := _ESCAPES.get(letter)) is not None:
        return escape
    if letter.isprintable():
        return letter
    code = ord(letter)
    return f"\\x{code:02x}" if code <= _BYTE else f"\\u{code:04x}" if code <= _WIDE else f"\\U{code:08x}"


def _is_literal(text: str) -> bool:
    """Tell whether a text of several lines can stand below a `|` as it is: it has words, and nothing invisible."""
    lines = text.removesuffix("\n").split("\n")
    return len(lines) > 1 and bool(text.strip()) and all(line.isprintable() for line in lines)
