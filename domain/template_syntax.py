"""What a template is made of: its pieces, its references, and a form of it that cannot run away.

minijinja parses and runs templates; this module reads them beforehand, because minijinja tells references only as far as
dots go (`nodes['a']` is just `nodes`, and what is sliced is not told at all) and because its operators have no limits.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from domain.errors import TemplateFault
from domain.template_words import CLOSE, MAX_DEPTH, OPEN, Code, Text, Token, split, tokens_of

MAX_SOURCE_CHARS = 65_536
MAX_WEIGHT = 64
"""How many values one expression may draw together, bound names counted by what they hold themselves."""
MAX_STATEMENT_WEIGHT = 512
"""What all statements may draw together: between two of them nothing looks at the clock."""

Reference = tuple[str, ...]

_KEYWORDS = frozenset({"and", "or", "not", "in", "is", "if", "else", "true", "false", "none", "True", "False", "None"})
_STATEMENTS = frozenset({"if", "elif", "else", "endif", "for", "endfor", "set"})
_FUNCTIONS = frozenset({"range", "dict"})
_PROTECTED = frozenset({"nodes", "secrets", "input"})
_MAX_DIGITS = 10
_ASKING = frozenset({"default", "d", "defined", "undefined", "in"})
# minijinja looks a name up in the keyword arguments of its call, a Python dict, whose methods it would find.
_METHODS = frozenset(dir(dict))


@dataclass(slots=True)
class Analysis:
    """What the reader found out."""

    pieces: list[Text | Code] = field(default_factory=list["Text | Code"])
    references: set[Reference] = field(default_factory=set[Reference])
    bound: dict[str, int] = field(default_factory=dict[str, int])
    """Names that statements bind, with their weights."""
    rewrites: list[tuple[int, int, str]] = field(default_factory=list[tuple[int, int, str]])
    """Spans of the source and what takes their place."""
    statement_weight: int = 0
    has_fallback: bool = False
    """Whether it asks for what may be missing (`default`, `is defined`, `in`)."""


def read(source: str) -> Analysis:
    """Take a template apart.

    Raises:
        TemplateFault: it is too long, does not parse, or uses what templates may not use.
    """
    if len(source) > MAX_SOURCE_CHARS:
        raise TemplateFault(f"The template is longer than {MAX_SOURCE_CHARS} characters.")
    analysis = Analysis(pieces=list(split(source)))
    loops = _raw_chars_of_blocks(analysis.pieces)
    for place, piece in enumerate(analysis.pieces):
        if isinstance(piece, Code):
            _analyse(piece, analysis, loops.get(place, 0))
    return analysis


def read_expression(source: str) -> Analysis:
    """Take a bare expression apart.

    Raises:
        TemplateFault: as with `read`.
    """
    if len(source) > MAX_SOURCE_CHARS:
        raise TemplateFault(f"The expression is longer than {MAX_SOURCE_CHARS} characters.")
    tokens, _ = tokens_of(source, 0, None)
    code = Code(tuple(tokens), 1, is_statement=False, start=0, end=len(source))
    analysis = Analysis(pieces=[code])
    _analyse(code, analysis, 0)
    return analysis


def rewritten(source: str, rewrites: list[tuple[int, int, str]], start: int = 0, end: int | None = None) -> str:
    """Return a part of the source with the given spans replaced."""
    stop = len(source) if end is None else end
    parts: list[str] = []
    place = start
    # what is inserted behind a span (empty, at its end) comes after what replaces the span
    for begin, behind, text in sorted(rewrites, key=lambda rewrite: rewrite[:2]):
        if start <= begin and behind <= stop:
            parts += [source[place:begin], text]
            place = behind
    return "".join([*parts, source[place:stop]])


def _raw_chars_of_blocks(pieces: list[Text | Code]) -> dict[int, int]:
    """Return for each block, by the place of its `for` or `if`, how many characters of plain text stand in its body."""
    chars: dict[int, int] = {}
    blocks: list[int] = []
    for place, piece in enumerate(pieces):
        if isinstance(piece, Text):
            for block in blocks:
                chars[block] += len(piece.text)
            continue
        head = piece.tokens[0].text if piece.is_statement and piece.tokens else ""
        if head in {"for", "if", "elif"}:  # to minijinja's parser an elif is an if inside an else
            chars[place] = 0
            blocks.append(place)
            if len(blocks) > MAX_DEPTH:
                raise TemplateFault("The statements are nested too deeply.", line=piece.line)
        elif head in {"endfor", "endif"}:
            _close(blocks, pieces)
    return chars


def _close(blocks: list[int], pieces: list[Text | Code]) -> None:
    """Take the innermost block away, with its elifs; what does not match is left to minijinja's parser."""
    while blocks:
        piece = pieces[blocks.pop()]
        if isinstance(piece, Code) and piece.tokens[0].text != "elif":
            return


# ── reading ──


def _analyse(code: Code, analysis: Analysis, raw_chars: int) -> None:
    tokens = code.tokens
    if not tokens:
        raise TemplateFault("An expression is missing.", line=code.line)
    if not code.is_statement:
        _weigh(tokens, analysis, code.line)
        return
    analysis.statement_weight += 1
    head = tokens[0].text
    if head not in _STATEMENTS:
        raise TemplateFault(f"`{{% {head} %}}` cannot be used here; only if, for and set can.", line=code.line)
    if head == "for":
        _analyse_for(code, analysis, raw_chars)
    elif head == "set":
        _analyse_set(code, analysis)
    else:
        _weigh(tokens[1:], analysis, code.line)


def _analyse_for(code: Code, analysis: Analysis, raw_chars: int) -> None:
    tokens = code.tokens
    middle = next((place for place, token in enumerate(tokens) if token.text == "in"), None)
    if middle is None or middle + 1 == len(tokens):
        raise TemplateFault("`for` needs the form `for name in list`.", line=code.line)
    if tokens[-1].text == "recursive":
        raise TemplateFault("Recursive loops cannot be used.", line=code.line)
    depth, stop = 0, len(tokens)
    for place in range(middle + 1, len(tokens)):
        depth += (tokens[place].text in OPEN) - (tokens[place].text in CLOSE)
        if depth == 0 and tokens[place].text == "if":
            stop = place
            break
    iterated = tokens[middle + 1 : stop]
    if not iterated:
        raise TemplateFault("`for` needs the form `for name in list`.", line=code.line)
    weight = _weigh(iterated, analysis, code.line)
    _bind(tokens[1:middle], weight, analysis, code.line)
    analysis.bound["loop"] = 1
    _weigh(tokens[stop + 1 :], analysis, code.line)
    begin, end = iterated[0].start, iterated[-1].end
    analysis.rewrites += [(begin, begin, "("), (end, end, f")|_each({raw_chars})")]


def _analyse_set(code: Code, analysis: Analysis) -> None:
    equals = next((place for place, token in enumerate(code.tokens) if token.text == "="), None)
    if equals is None or equals + 1 == len(code.tokens):
        raise TemplateFault("`set` needs the form `set name = value`.", line=code.line)
    weight = _weigh(code.tokens[equals + 1 :], analysis, code.line)
    _bind(code.tokens[1:equals], weight, analysis, code.line)


def _bind(names: tuple[Token, ...], weight: int, analysis: Analysis, line: int) -> None:
    for token in names:
        if token.kind == "operator" and token.text in "(),":
            continue
        if token.kind != "name" or token.text in _PROTECTED or token.text in _KEYWORDS:
            raise TemplateFault(f"`{token.text}` cannot be given a value.", line=line)
        analysis.bound[token.text] = max(weight, analysis.bound.get(token.text, 1))


def _weigh(tokens: tuple[Token, ...], analysis: Analysis, line: int) -> int:
    """Collect the references of an expression, guard its products, and return its weight."""
    weight = 0
    for place, token in enumerate(tokens):
        if token.text == "*" and token.kind == "operator":
            _guard_product(tokens, place, analysis)
        elif token.kind == "name":
            weight += _read_name(tokens, place, analysis, line)
    if weight > MAX_WEIGHT:
        raise TemplateFault(f"One expression draws together more than {MAX_WEIGHT} values.", line=line)
    if analysis.statement_weight:  # counted from the first statement on, which is as good as counting statements alone
        analysis.statement_weight += weight
    if analysis.statement_weight > MAX_STATEMENT_WEIGHT:
        raise TemplateFault("The template has too many statements.", line=line)
    return max(weight, 1)


def is_root(tokens: tuple[Token, ...], place: int) -> bool:
    """Tell whether a word names a value, and not a field, an argument, a filter, a test, a function or a keyword."""
    if tokens[place].kind != "name" or tokens[place].text in _KEYWORDS:
        return False
    before = tokens[place - 1].text if place else ""
    after = tokens[place + 1].text if place + 1 < len(tokens) else ""
    return not (
        before in {".", "|", "is"}
        or after == "("
        or (after == "=" and before in {"(", ","})
        or (before == "not" and place > 1 and tokens[place - 2].text == "is")
    )


def _read_name(tokens: tuple[Token, ...], place: int, analysis: Analysis, line: int) -> int:
    name = tokens[place].text
    before = tokens[place - 1].text if place else ""
    if is_root(tokens, place):
        if name in analysis.bound:
            return analysis.bound[name]
        if name in _FUNCTIONS or name in _METHODS or name.startswith("_"):
            raise TemplateFault(f"There is no value `{name}`.", line=line)
        analysis.references.add(chain(tokens, place)[0])
        return 1
    if before == ".":
        return 0
    if name in _ASKING:
        analysis.has_fallback = True
    elif before != "|" and name not in _KEYWORDS and tokens[place + 1 : place + 2] and tokens[place + 1].text == "(":
        return _read_call(tokens, place, line)
    return 0


def _read_call(tokens: tuple[Token, ...], place: int, line: int) -> int:
    name = tokens[place].text
    is_test = tokens[place - 1].text in {"is", "not"} and place > 0
    if name not in _FUNCTIONS and not is_test:
        raise TemplateFault(f"There is no function `{name}`.", line=line)
    return 1


def chain(tokens: tuple[Token, ...], place: int) -> tuple[Reference, tuple[str | int, ...], int]:
    """Follow a name through `.name`, `['name']` and `[0]`, up to a method's name.

    Returns:
        The names up to the first number, all steps, and the place behind.
    """
    steps: list[str | int] = [tokens[place].text]
    place += 1
    while place + 1 < len(tokens):
        here, following = tokens[place], tokens[place + 1]
        behind = tokens[place + 2].text if place + 2 < len(tokens) else ""
        if here.text == "." and following.kind == "name" and behind != "(":
            steps.append(following.text)
            place += 2
        elif here.text == "[" and behind == "]" and following.kind == "string" and "\\" not in following.text:
            steps.append(following.text[1:-1])
            place += 3
        elif here.text == "[" and behind == "]" and following.text.isdecimal() and len(following.text) < _MAX_DIGITS:
            steps.append(int(following.text))
            place += 3
        else:
            break
    names = tuple(step for step in steps if isinstance(step, str))
    first_number = next((index for index, step in enumerate(steps) if isinstance(step, int)), len(steps))
    return names[:first_number], tuple(steps), place


def _guard_product(tokens: tuple[Token, ...], place: int, analysis: Analysis) -> None:
    """Let both factors be numbers only: minijinja also repeats texts and lists, without a limit."""
    if place and tokens[place - 1].kind != "number":
        analysis.rewrites.append((tokens[place - 1].end, tokens[place - 1].end, "|_number"))
    stop = place + 1
    while stop < len(tokens) and tokens[stop].text in {"-", "+"}:
        stop += 1
    if stop < len(tokens) and tokens[stop].kind == "number":
        return
    stop = _behind_operand(tokens, stop)
    if stop > place + 1:
        analysis.rewrites.append((tokens[stop - 1].end, tokens[stop - 1].end, "|_number"))


def _behind_operand(tokens: tuple[Token, ...], place: int) -> int:
    """Return the place behind a value with all its `.name`, `[…]`, `(…)` and `|filter`."""
    place = _behind_brackets(tokens, place) if place < len(tokens) and tokens[place].text in OPEN else place + 1
    while place < len(tokens):
        text = tokens[place].text
        if text in {".", "|"}:
            place += 2
        elif text in {"(", "["}:
            place = _behind_brackets(tokens, place)
        else:
            break
    return min(place, len(tokens))


def _behind_brackets(tokens: tuple[Token, ...], place: int) -> int:
    depth = 0
    for stop in range(place, len(tokens)):
        depth += (tokens[stop].text in OPEN) - (tokens[stop].text in CLOSE)
        if depth == 0:
            return stop + 1
    return len(tokens)
