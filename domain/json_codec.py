"""JSON as bytes that are known to be storable: what PostgreSQL or orjson would refuse or change is refused here, by its path."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

import orjson

from domain.errors import NodeFault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from domain.json_value import Json

MAX_OUTPUT_BYTES = 4 * 1_048_576
_OPTIONS = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS
_NUL = b"\\u0000"
_LEAST_INT = -(2**63)
_LARGEST_INT = 2**64 - 1
_MAX_DEPTH = 250
"""orjson goes no deeper than 254."""
_MAX_PATH_CHARS = 200


def encode(value: Json, *, max_bytes: int = MAX_OUTPUT_BYTES) -> bytes:
    """Return JSON as bytes that the database takes and gives back unchanged.

    Raises:
        NodeFault: `INVALID_OUTPUT`, naming what is wrong and where: U+0000, a lone surrogate, NaN or infinity, an integer
            beyond 64 bit, too many bytes, nesting beyond 250, something that is not JSON.
    """
    try:
        data = orjson.dumps(value, option=_OPTIONS)
    except (TypeError, ValueError, RecursionError) as error:
        wrong = _first_wrong(value)
        raise wrong or _fault((), f"cannot be written as JSON ({type(error).__name__})") from None
    if len(data) > max_bytes:
        raise NodeFault("INVALID_OUTPUT", f"The output has {len(data)} bytes of JSON; {max_bytes} are the most.")
    # Both marks are only suspicious: `null` may be None or NaN, `\u0000` may be a NUL or a backslash before `u0000`.
    is_suspicious = _NUL in data or (b"null" in data and _has_unreal(value))
    if is_suspicious and (wrong := _first_wrong(value)) is not None:
        raise wrong
    return data


def encode_as(name: str, code: str, value: Json, *, max_bytes: int = MAX_OUTPUT_BYTES) -> bytes:
    """Return JSON as `encode` does, for what is no output: a fault has this code, and calls it by its name.

    Raises:
        NodeFault: with `code`.
    """
    try:
        return encode(value, max_bytes=max_bytes)
    except NodeFault as fault:
        raise NodeFault(code, name + fault.message.removeprefix("The ").removeprefix("output")) from None


def decode(data: bytes | bytearray | memoryview | str) -> Json:
    """Return the value of JSON.

    Raises:
        ValueError: it is not JSON.
    """
    return cast("Json", orjson.loads(data))


def _has_unreal(value: Json) -> bool:
    kind = type(value)
    if kind is dict:
        return any(_has_unreal(item) for item in cast("dict[str, Json]", value).values() if type(item) is not str)
    if kind is list or kind is tuple:
        return any(_has_unreal(item) for item in cast("list[Json]", value) if type(item) is not str)
    return kind is float and not math.isfinite(cast("float", value))


def _first_wrong(value: object) -> NodeFault | None:
    return next(_wrong(value, ()), None)


def _wrong(value: object, path: tuple[str | int, ...]) -> Iterator[NodeFault]:
    if len(path) > _MAX_DEPTH:
        yield _fault(path, f"is nested more than {_MAX_DEPTH} levels deep")
    elif isinstance(value, Mapping):
        yield from _wrong_object(cast("Mapping[object, object]", value), path)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(cast("list[object]", value)):
            yield from _wrong(item, (*path, index))
    elif reason := _wrong_scalar(value):
        yield _fault(path, reason)


def _wrong_scalar(value: object) -> str | None:
    if isinstance(value, str):
        return _wrong_text(value)
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, int):
        return None if _LEAST_INT <= value <= _LARGEST_INT else "is an integer of more than 64 bit"
    if isinstance(value, float):
        return None if math.isfinite(value) else "is NaN or infinite, which JSON does not know"
    return f"is not JSON but {type(value).__name__}"


def _wrong_object(value: Mapping[object, object], path: tuple[str | int, ...]) -> Iterator[NodeFault]:
    for name, item in value.items():
        if not isinstance(name, str):
            yield _fault(path, "has a name that is not a text")
        elif reason := _wrong_text(name):
            yield _fault((*path, name), f"has a name that {reason}")
        else:
            yield from _wrong(item, (*path, name))


def _wrong_text(text: str) -> str | None:
    if "\0" in text:
        return "contains the character U+0000, which cannot be stored"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "contains a lone surrogate, which is not Unicode text"
    return None


def _fault(path: tuple[str | int, ...], reason: str) -> NodeFault:
    where = "".join(f"[{step}]" if isinstance(step, int) else f".{_printable(step)}" for step in path)
    if len(where) > _MAX_PATH_CHARS:
        where = where[:_MAX_PATH_CHARS] + "…"
    return NodeFault("INVALID_OUTPUT", f"output{where} {reason}.")


def _printable(name: str) -> str:
    return name if name.isprintable() and _wrong_text(name) is None else ascii(name)
