"""How templates see data: read-only views of JSON, guarded filters, and the limits of one rendering.

minijinja would let a template call the methods of Python lists and dicts (`input.list.append(4)` changes the recorded
data), so it never gets one: only views without public methods.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, cast
from urllib.parse import quote

import orjson
from minijinja import Environment

from domain.errors import TemplateFault

if TYPE_CHECKING:
    from domain.json_value import Json

MAX_TEXT_BYTES = 1_048_576
_MAX_WORK = 16_777_216
"""Characters that one rendering may take from the data and make in filters, in all."""
_MAX_DURATION_S = 0.5
_FUEL = 100_000
"""Instructions of minijinja; about 30 ns each, and 1 µs where it asks for data."""
_MAX_DEPTH = 128

_REMOVED_FILTERS = ("attr", "debug", "format", "pprint", "safe", "xmlattr", "batch", "slice", "chain", "zip")
_REMOVED_GLOBALS = ("debug", "namespace", "lipsum", "cycler", "joiner")


class Rendering(threading.local):
    """What the rendering under way in this thread has used, and why it must end."""

    work: int = 0
    chars: int = 0
    until: float = 0.0
    missing: str | None = None
    fault: TemplateFault | None = None

    def begin(self) -> None:
        """Start anew."""
        self.work = 0
        self.chars = 0
        self.until = time.monotonic() + _MAX_DURATION_S
        self.missing = None
        self.fault = None

    def charge(self, chars: int) -> None:
        """Count characters that were taken or made."""
        self.work += chars
        if self.work > _MAX_WORK:
            self.end("The template works through too much data.")
        if time.monotonic() > self.until:
            self.end("The template takes too long.")

    def write(self, chars: int) -> None:
        """Count characters that were written."""
        self.chars += chars
        if self.chars > MAX_TEXT_BYTES:
            self.end(f"The text is larger than {MAX_TEXT_BYTES} bytes.")

    def end(self, message: str) -> NoReturn:
        """Give up.

        Raises:
            TemplateFault: always; kept, since minijinja wraps what is raised inside it.
        """
        self.fault = TemplateFault(message)
        raise self.fault


rendering = Rendering()


class _View:
    """Read-only access to a list or a dict; what minijinja cannot find in it, it does not find."""

    __slots__ = ("_data",)

    def __init__(self, data: Any) -> None:
        self._data = data

    def __len__(self) -> int:
        return len(self._data)

    def __str__(self) -> str:
        text = to_text(self._data)
        rendering.charge(len(text))
        return text

    def __eq__(self, other: object) -> bool:
        return self._data == (other._data if isinstance(other, _View) else other)

    def __lt__(self, other: object) -> bool:
        return self._data < (other._data if isinstance(other, _View) else other)

    def __gt__(self, other: object) -> bool:
        return self._data > (other._data if isinstance(other, _View) else other)

    __hash__ = None  # type: ignore[assignment]


class MapView(_View):
    """A read-only dict; its few methods change nothing."""

    __slots__ = ()

    def __getitem__(self, key: object) -> object:
        try:
            return view(self._data[key])
        except (KeyError, TypeError):
            rendering.missing = rendering.missing or str(key)[:64]
            raise KeyError from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._data)

    def items(self) -> object:
        """Return pairs of names and values."""
        return ListView([[key, value] for key, value in self._data.items()])

    def keys(self) -> object:
        """Return the names."""
        return ListView(list(self._data))

    def values(self) -> object:
        """Return the values."""
        return ListView(list(self._data.values()))

    def get(self, key: object, default: object = None) -> object:
        """Return the value of a name, or the default."""
        return view(self._data.get(key, default))


class ListView(_View):
    """A read-only list; `loop_chars` are counted whenever an item is taken."""

    __slots__ = ("_loop_chars",)

    def __init__(self, data: Any, loop_chars: int = 0) -> None:
        super().__init__(data)
        self._loop_chars = loop_chars

    def __getitem__(self, index: object) -> object:
        if self._loop_chars:
            rendering.charge(1)
            rendering.write(self._loop_chars)
        if not isinstance(index, int):
            rendering.missing = rendering.missing or str(index)[:64]
            raise TypeError
        try:
            return view(self._data[index])
        except IndexError:
            rendering.missing = rendering.missing or str(index)
            raise


cast("Any", Sequence).register(ListView)  # minijinja asks for this: only sequences are indexed


def _raw(value: object) -> Any:
    """Return the data behind a view; the leading underscore of its place keeps templates away from it."""
    return value._data if isinstance(value, _View) else value  # noqa: SLF001


def view(value: Any) -> object:
    """Return what a template gets for a piece of JSON."""
    kind = cast("object", type(value))
    if kind is str:
        rendering.charge(len(value))
    elif kind is dict:
        return MapView(value)
    elif kind is list or kind is tuple:
        rendering.charge(1)
        return ListView(value)
    elif isinstance(value, Mapping):
        return MapView(cast("Mapping[str, Json]", value))
    return value


def plain(value: Any, depth: int = 0) -> Json:
    """Return what a template gave as JSON.

    Raises:
        TemplateFault: it is none: a function, a number that JSON does not know, a name that is no text.
    """
    kind = cast("object", type(value))
    if kind is str or kind is int or kind is bool or value is None:
        return value
    if kind is MapView or kind is ListView:
        return cast("Json", _raw(value))
    if depth > _MAX_DEPTH:
        raise TemplateFault("The value is nested too deeply.")
    if kind is float:
        if math.isfinite(value):
            return value
        raise TemplateFault("The result is a number that JSON does not know (infinite or not a number).")
    if kind is list or kind is tuple:
        rendering.charge(len(value))
        return [plain(item, depth + 1) for item in value]
    if kind is dict:
        rendering.charge(len(value))
        if not all(isinstance(key, str) for key in value):
            raise TemplateFault("The result has a name that is not a text.")
        return {str(key): plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, str):  # minijinja's Markup
        return str.__str__(value)
    raise TemplateFault("The result is not JSON.")


def to_text(value: Any) -> str:
    """Return a value as it stands in a text: texts as they are, everything else as JSON."""
    if type(value) is str:
        return value
    value = plain(value)
    if isinstance(value, str):
        return value
    try:
        return orjson.dumps(value).decode()
    except (TypeError, orjson.JSONEncodeError):
        raise TemplateFault("A value cannot be written as JSON.") from None


# ── filters ──


def _finalize(value: object) -> str:
    text = to_text(value)
    rendering.write(len(text))
    rendering.charge(len(text))
    return text


def _made(text: str) -> str:
    rendering.charge(len(text))
    return text


def _text(value: object) -> str:
    text = to_text(value)
    rendering.charge(len(text))
    return text


def _number(value: object) -> object:
    if not isinstance(value, int | float):
        rendering.end("Only numbers can be multiplied.")
    return value


def _each(value: object, raw_chars: int) -> object:
    data = _raw(value)
    if isinstance(data, Mapping):
        data = list(cast("Mapping[str, Json]", data))
    if not isinstance(data, list | tuple):
        rendering.end("Only lists and objects can be looped over.")
    return ListView(data, loop_chars=raw_chars + 1)


def _guarded(make: Callable[..., object]) -> Callable[..., object]:
    """Count what a filter makes before it is made; whatever else goes wrong is a mistake in its arguments."""

    def guarded(value: object, *arguments: Any, **named: Any) -> object:
        try:
            return make(value, *arguments, **named)
        except (TypeError, ValueError, AttributeError):
            rendering.end(f"The filter `{make.__name__.strip('_')}` cannot be used with these values.")

    return guarded


def _replace(value: object, old: Any, new: Any) -> str:
    text, before, after = _text(value), _text(old), _text(new)
    count = text.count(before)
    rendering.charge(max(0, len(text) + count * (len(after) - len(before))))
    return text.replace(before, after)


def _items_of(value: object) -> list[Any]:
    data = _raw(value)
    if isinstance(data, str | list | tuple | Mapping):
        rendering.charge(len(cast("Sequence[object]", data)))
        return list(cast("Sequence[object]", data))
    raise TypeError


def _join(value: object, joiner: Any = "", attribute: str | None = None) -> str:
    items = _items_of(value)
    if attribute is not None:
        items = [_raw(item)[attribute] for item in items]
    glue = _text(joiner)
    rendering.charge(len(glue) * len(items))
    return glue.join(_text(item) for item in items)


def _indent(value: object, width: int = 4, first: bool = False, blank: bool = False) -> str:
    lines = _text(value).split("\n")
    rendering.charge(max(0, width) * len(lines))
    pad = " " * width
    return "\n".join(
        line if (place == 0 and not first) or not (line or blank) else pad + line for place, line in enumerate(lines)
    )


def _tojson(value: object, indent: Any = None) -> str:
    data = plain(value)
    return _made(orjson.dumps(data, option=orjson.OPT_INDENT_2 if indent else 0).decode())


def _urlencode(value: object) -> str:
    data = plain(value)
    pairs = data.items() if isinstance(data, Mapping) else None
    if pairs is None:
        return _made(quote(_text(data), safe="/"))
    return _made("&".join(f"{quote(name, safe='')}={quote(to_text(item), safe='')}" for name, item in pairs))


def _escape(value: object) -> str:
    text = _text(value).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _made(text.replace('"', "&quot;").replace("'", "&#x27;"))


def _split(value: object, separator: str | None = None, limit: int = -1) -> object:
    text = _text(value)
    rendering.charge(8 * ((text.count(separator) if separator else len(text) // 2) + 1))
    return ListView(text.split(separator, limit))


def _list(value: object) -> object:
    items = _items_of(value)
    rendering.charge(8 * len(items))
    return ListView(items)


def _truncate(value: object, length: int = 255, end: str = "…") -> str:
    text = _text(value)
    return text if len(text) <= length else text[: max(0, length - len(end))] + end


_FILTERS: Mapping[str, Callable[..., object]] = {
    "replace": _replace,
    "join": _join,
    "indent": _indent,
    "tojson": _tojson,
    "urlencode": _urlencode,
    "escape": _escape,
    "e": _escape,
    "split": _split,
    "list": _list,
    "string": _text,
    "truncate": _truncate,
}


class _Environments(threading.local):
    """One environment per thread: minijinja locks one for the length of a rendering."""

    def __init__(self) -> None:
        self.environment = Environment(
            undefined_behavior="strict",
            fuel=_FUEL,
            debug=False,
            pycompat=False,
            keep_trailing_newline=True,
            finalizer=_finalize,
            auto_escape_callback=lambda _: False,
        )
        for name in _REMOVED_FILTERS:
            self.environment.remove_filter(name)
        for name in _REMOVED_GLOBALS:
            self.environment.remove_global(name)
        for name, make in _FILTERS.items():
            self.environment.add_filter(name, _guarded(make))
        self.environment.add_filter("_number", _number)
        self.environment.add_filter("_each", _each)


_environments = _Environments()


def environment() -> Environment:
    """Return this thread's environment."""
    return _environments.environment
