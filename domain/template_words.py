"""A template cut into words: plain text, `{{ … }}`, `{% … %}`, and the tokens inside."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from domain.errors import TemplateFault

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_DEPTH = 32
MAX_TOKENS = 1_000
"""Words of one expression; minijinja's parser calls itself for each operator, and its stack is the process's."""

OPEN = frozenset("([{")
CLOSE = frozenset(")]}")
_OPENING = re.compile(r"\{[{%#]")
_RAW = re.compile(r"\{%[-+]?\s*raw\s*[-+]?%\}")
_END_RAW = re.compile(r"\{%[-+]?\s*endraw\s*[-+]?%\}")
_TOKEN = re.compile(
    r"""(?P<space>\s+)
    |(?P<string>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
    |(?P<number>\d\w*(?:\.\d\w*(?:(?<=[eE])[+-]\d+)?)?)
    |(?P<name>[^\W\d]\w*)
    |(?P<operator>\*\*|//|==|!=|<=|>=|[-+*/%~|.,:;<>=!(){}\[\]])""",
    re.VERBOSE | re.DOTALL,
)


class Token(NamedTuple):
    """A word of an expression and where it stands in the template."""

    kind: str
    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Text:
    """Text that is given out as it is."""

    text: str


@dataclass(frozen=True, slots=True)
class Code:
    """`{{ … }}` (or a bare expression) or `{% … %}`."""

    tokens: tuple[Token, ...]
    line: int
    is_statement: bool
    start: int
    end: int


def _line(source: str, place: int) -> int:
    return source.count("\n", 0, place) + 1


def split(source: str) -> Iterator[Text | Code]:
    """Yield the pieces of a template; comments are left out.

    Raises:
        TemplateFault: something has no end.
    """
    place, line, counted = 0, 1, 0
    while found := _OPENING.search(source, place):
        line += source.count("\n", counted, found.start())
        counted = found.start()
        if found.start() > place:
            yield Text(source[place : found.start()])
        if raw := _RAW.match(source, found.start()):
            end = _END_RAW.search(source, raw.end())
            if end is None:
                raise TemplateFault("`{% raw %}` has no end.", line=line)
            yield Text(source[raw.end() : end.start()])
            place = end.end()
        elif found.group() == "{#":
            close = source.find("#}", found.end())
            if close < 0:
                raise TemplateFault("A comment has no end.", line=line)
            place = close + 2
        else:
            is_statement = found.group() == "{%"
            tokens, place = tokens_of(source, found.end(), "%}" if is_statement else "}}")
            yield Code(tuple(tokens), line, is_statement, found.start(), place)
    if place < len(source):
        yield Text(source[place:])


def tokens_of(source: str, place: int, closing: str | None) -> tuple[list[Token], int]:
    """Return the words from a place to the closing mark (None = the end of the source), and the place behind it.

    Raises:
        TemplateFault: an unknown character, brackets that do not fit, no closing mark, too many words.
    """
    tokens: list[Token] = []
    start, depth = place, 0
    if closing is not None and source[place : place + 1] in {"-", "+"}:
        place += 1
    while place < len(source):
        if closing is not None and depth == 0:
            marked = source[place] in "-+" and source.startswith(closing, place + 1)
            if marked or source.startswith(closing, place):
                return tokens, place + 2 + marked
        found = _TOKEN.match(source, place)
        if found is None:
            raise TemplateFault(f"Unexpected character {source[place]!r}.", line=_line(source, place))
        text = found.group()
        depth += (text in OPEN) - (text in CLOSE)
        if depth < 0:
            raise TemplateFault(f"`{text}` closes nothing.", line=_line(source, place))
        if depth > MAX_DEPTH or len(tokens) > MAX_TOKENS:
            raise TemplateFault("The expression is nested too deeply or too long.", line=_line(source, place))
        if found.lastgroup != "space":
            tokens.append(Token(found.lastgroup or "", text, place, found.end()))
        place = found.end()
    if closing is not None:
        raise TemplateFault(f"`{closing}` is missing.", line=_line(source, start))
    return tokens, place
