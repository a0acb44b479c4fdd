from __future__ import annotations

import time

import pytest

from domain.collections import Chunking, ChunkSplit
from runtime.chunking import cut, cut_all

TEXT = "One is here. Two is\nthere! Three follows.\n\nFour is apart. Five ends."


def test_paragraphs_stay_whole_where_they_fit() -> None:
    assert cut(TEXT, Chunking(max_chars=100, overlap_chars=0)) == [TEXT]
    assert cut(TEXT, Chunking(max_chars=50, overlap_chars=0)) == TEXT.split("\n\n")


def test_a_cut_between_sentences_does_not_care_for_lines_and_keeps_the_text_as_it_is() -> None:
    chunks = cut(TEXT, Chunking(ChunkSplit.SENTENCE, max_chars=26, overlap_chars=0))
    assert chunks == ["One is here. Two is\nthere!", "Three follows.", "Four is apart. Five ends."]


def test_without_cuts_a_document_is_one_chunk() -> None:
    assert cut(f"\n {TEXT} ", Chunking(ChunkSplit.NONE, max_chars=100)) == [TEXT]


def test_neighbours_share_what_they_may() -> None:
    words = " ".join(f"word{number}" for number in range(100))
    apart = cut(words, Chunking(max_chars=100, overlap_chars=0))
    shared = cut(words, Chunking(max_chars=100, overlap_chars=50))
    assert " ".join(apart) == words
    assert len(shared) > len(apart)
    assert all(shared[place + 1].split()[0] in shared[place].split() for place in range(len(shared) - 1))


@pytest.mark.parametrize("split_by", [ChunkSplit.PARAGRAPH, ChunkSplit.SENTENCE])
@pytest.mark.parametrize("text", ["x" * 1_048_576, ("x" * 5_000 + " ") * 200, "é\n" * 300_000, "a b. " * 200_000])
def test_a_text_of_a_mebibyte_is_cut_in_little_time_whatever_it_is_made_of(text: str, split_by: ChunkSplit) -> None:
    begun = time.perf_counter()
    chunks = cut(text, Chunking(split_by, max_chars=1_200, overlap_chars=150))
    assert time.perf_counter() - begun < 20
    assert all(0 < len(chunk) <= 1_200 for chunk in chunks)
    assert sum(map(len, chunks)) >= len(text.replace("\n", "").replace(" ", ""))


@pytest.mark.parametrize("text", ["", " ", "\n\t\u2028"])
def test_white_space_has_no_chunks(text: str) -> None:
    assert [cut(text, Chunking(split_by)) for split_by in ChunkSplit] == [[], [], []]


async def test_texts_are_cut_in_their_order() -> None:
    assert await cut_all(["one", "two"], Chunking()) == [["one"], ["two"]]
