from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.run import DeltaChannel
from runtime.deltas import DeltaStream, utf16_length
from tests.support.virtual_time import run_virtually

if TYPE_CHECKING:
    from domain.events import NodeOutputDelta

TEXT, REASONING = DeltaChannel.TEXT, DeltaChannel.REASONING


class Sent:
    """A stream, and what it sent at what time."""

    def __init__(self) -> None:
        self.deltas: list[tuple[float, NodeOutputDelta]] = []
        self.stream = DeltaStream("node", None, 2, self._take)

    def _take(self, delta: NodeOutputDelta) -> None:
        self.deltas.append((round(asyncio.get_running_loop().time(), 3), delta))

    @property
    def pieces(self) -> list[tuple[float, str]]:
        """Time and text of each."""
        return [(at, delta.text) for at, delta in self.deltas]

    def store(self) -> None:
        """Tell the stream that everything is in the log."""
        for _, delta in self.deltas:
            self.stream.stored(delta)


def spliced(deltas: list[NodeOutputDelta], channel: DeltaChannel) -> str:
    """Put a text together as a browser does: by UTF-16 offsets."""
    units = b""
    for delta in deltas:
        if delta.channel is channel:
            units = units[: 2 * delta.offset] + delta.text.encode("utf-16-le")
    return units.decode("utf-16-le")


def test_the_first_piece_leaves_at_once_and_the_next_ones_gather_for_50_ms() -> None:
    async def work() -> None:
        sent = Sent()
        for number in range(18):
            await sent.stream.write(f"{number} ", TEXT)
            await asyncio.sleep(0.01)
        assert sent.pieces[0] == (0, "0 ")
        assert [at for at, _ in sent.pieces] == [0, 0.05, 0.1, 0.15]
        deltas = [delta for _, delta in sent.deltas] + sent.stream.close()
        assert len(deltas) == 5
        assert all(delta.execution == 2 and delta.node_key == "node" for delta in deltas)
        assert spliced(deltas, TEXT) == "".join(f"{n} " for n in range(18))

    run_virtually(work())


def test_two_kilobytes_leave_at_once_and_the_next_piece_waits_its_time_again() -> None:
    async def work() -> None:
        sent = Sent()
        await sent.stream.write("a", TEXT)
        await asyncio.sleep(0.01)
        await sent.stream.write("b" * 1_000, TEXT)
        await asyncio.sleep(0.02)
        await sent.stream.write("c" * 1_048, TEXT)
        assert [(at, len(text)) for at, text in sent.pieces] == [(0, 1), (0.03, 2_048)]
        await asyncio.sleep(0.01)
        await sent.stream.write("d", TEXT)
        await asyncio.sleep(0.2)
        assert sent.pieces[2:] == [(0.08, "d")], "50 ms after the last one, not after the one that was overtaken"
        assert sent.stream.close() == []

    run_virtually(work())


def test_channels_have_offsets_of_their_own() -> None:
    async def work() -> None:
        sent = Sent()
        await sent.stream.write("Hm", REASONING)
        await sent.stream.write("é😀", TEXT)
        await sent.stream.write("…", REASONING)
        await asyncio.sleep(1)
        await sent.stream.write("!", TEXT)
        found = [(delta.channel, delta.offset, delta.text) for _, delta in sent.deltas]
        assert found == [(REASONING, 0, "Hm"), (TEXT, 0, "é😀"), (REASONING, 2, "…"), (TEXT, 3, "!")]

    run_virtually(work())


def test_what_cannot_be_stored_shows_as_a_replacement_character() -> None:
    async def work() -> None:
        sent = Sent()
        await sent.stream.write("a\0b\ud800c", TEXT)
        assert sent.pieces == [(0, "a\ufffdb\ufffdc")]

    run_virtually(work())


def test_a_writer_waits_while_the_log_is_behind_and_goes_on_when_it_has_caught_up() -> None:
    async def work() -> None:
        sent = Sent()
        writing = asyncio.create_task(write_much(sent.stream))
        await asyncio.sleep(10)
        assert not writing.done()
        assert 65_536 < sum(len(text) for _, text in sent.pieces) < 65_536 + 4_096, "bounded"
        while not writing.done():
            sent.store()
            sent.deltas.clear()
            await asyncio.sleep(0.01)
        assert await writing == 200

    run_virtually(work())


def test_a_writer_that_waits_is_let_go_when_its_stream_is_closed() -> None:
    async def work() -> None:
        sent = Sent()
        writing = asyncio.create_task(write_much(sent.stream))
        await asyncio.sleep(1)
        assert not writing.done()
        sent.stream.close()
        count = len(sent.deltas)
        async with asyncio.timeout(1):
            assert await writing == 200
        assert len(sent.deltas) == count, "nothing is sent behind the end"

    run_virtually(work())


async def write_much(stream: DeltaStream) -> int:
    for number in range(200):
        await stream.write(str(number % 10) * 2_048, TEXT)
    return 200


writes = st.lists(
    st.tuples(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6),
        st.sampled_from(DeltaChannel),
        st.integers(0, 80),
    ),
    max_size=30,
)


@settings(max_examples=100, deadline=None)
@given(pieces=writes)
def test_pieces_spliced_by_their_offsets_are_the_text(pieces: list[tuple[str, DeltaChannel, int]]) -> None:
    async def work() -> None:
        sent = Sent()
        for text, channel, wait_ms in pieces:
            await sent.stream.write(text, channel)
            await asyncio.sleep(wait_ms / 1_000)
        deltas = [delta for _, delta in sent.deltas] + sent.stream.close()
        for channel in DeltaChannel:
            assert spliced(deltas, channel) == "".join(text for text, of, _ in pieces if of is channel)
        times = sorted({at for at, _ in sent.deltas})
        assert all(later - sooner >= 0.0499 for sooner, later in itertools.pairwise(times))

    run_virtually(work())


@given(st.text(st.characters()))
def test_lengths_are_those_of_a_browser(text: str) -> None:
    assert utf16_length(text) == sum(2 if ord(letter) > 0xFFFF else 1 for letter in text)
