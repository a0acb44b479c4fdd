"""Cutting texts into chunks: pieces of a bounded length, where a reader would cut."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Final

from semantic_text_splitter import TextSplitter

from domain.collections import ChunkSplit

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from domain.collections import Chunking

# The splitter may take the square of a text's length: 2 s for 1 MiB of tiny sentences, 8 s where nothing ends a sentence
# or a word. So long texts are cut in parts, those without blanks in smaller ones.
_PART: Final = 131_072
_UNBROKEN_PART: Final = 32_768
_UNBROKEN: Final = re.compile(r"\S{1000}")
_LINE_ENDS: Final = str.maketrans("\r\n\v\f\x85\u2028\u2029", "       ")


async def cut_all(texts: Sequence[str], chunking: Chunking) -> list[list[str]]:
    """Return the chunks of each text, cut in a thread; a text with anything but white space has at least one."""
    return await asyncio.to_thread(lambda: [cut(text, chunking) for text in texts])


def cut(text: str, chunking: Chunking) -> list[str]:
    """Return the chunks of a text in its order, each at most `max_chars` long unless nothing is to be cut.

    Paragraphs, sentences and words stay whole where they fit; neighbours share up to `overlap_chars`.
    """
    if chunking.split_by is ChunkSplit.NONE:
        return [text.strip()] if text.strip() else []
    splitter = TextSplitter(chunking.max_chars, overlap=chunking.overlap_chars)
    if chunking.split_by is ChunkSplit.SENTENCE:
        # Where a line ends means nothing then: it looks like a space, and the chunks are cut from the text as it is.
        return [chunk for part in _parts(text) for chunk in _by_sentence(part, splitter)]
    return [chunk for part in _parts(text) for chunk in splitter.chunks(part)]


def _by_sentence(text: str, splitter: TextSplitter) -> Iterator[str]:
    for start, chunk in splitter.chunk_indices(text.translate(_LINE_ENDS)):
        yield text[start : start + len(chunk)]


def _parts(text: str) -> Iterator[str]:
    """Yield a text in parts of bounded length, each ending where a paragraph, a line or a word does, if it can."""
    size = _UNBROKEN_PART if _UNBROKEN.search(text) else _PART
    start = 0
    while len(text) - start > size:
        end = start + size
        breaks = (text.rfind(mark, start, end) + len(mark) for mark in ("\n\n", "\n", " "))
        end = next((place for place in breaks if place > start + size // 2), end)
        yield text[start:end]
        start = end
    yield text[start:]
