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

# Nothing ends a sentence or a word here, and looking for such places takes the square of the text: 8 s for 1 MiB.
_UNBROKEN: Final = re.compile(r"\S{1000}")
_WINDOW: Final = 32_768
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
        return [chunk for window in _windows(text) for chunk in _by_sentence(window, splitter)]
    return [chunk for window in _windows(text) for chunk in splitter.chunks(window)]


def _by_sentence(text: str, splitter: TextSplitter) -> Iterator[str]:
    for start, chunk in splitter.chunk_indices(text.translate(_LINE_ENDS)):
        yield text[start : start + len(chunk)]


def _windows(text: str) -> Iterator[str]:
    """Yield the text, in parts if it is one that takes too long as a whole."""
    if len(text) <= _WINDOW or not _UNBROKEN.search(text):
        yield text
        return
    start = 0
    while start < len(text):
        end = min(start + _WINDOW, len(text))
        if end < len(text):
            blank = max(text.rfind("\n", start, end), text.rfind(" ", start, end))
            end = blank + 1 if blank > start else end
        yield text[start:end]
        start = end
