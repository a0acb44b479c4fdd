"""What processes have counted outlives them, in a folder that does not grow."""

from __future__ import annotations

import fcntl
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prometheus_client.mmap_dict import MmapedDict, mmap_key

from runtime.metric_files import EndedProcesses, exposition
from tests.support.prometheus import values

if TYPE_CHECKING:
    import pytest


def counted(folder: Path, process_id: int) -> None:
    """Leave the files of a process that has served two requests, one of them fast."""
    files = {
        "counter": [(mmap_key("requests", "requests_total", ["operation"], ["Runs"], "Requests."), 2.0)],
        "histogram": [
            (mmap_key("took", "took_bucket", ["le"], ["0.1"], "How long."), 1.0),
            (mmap_key("took", "took_bucket", ["le"], ["+Inf"], "How long."), 1.0),
            (mmap_key("took", "took_sum", [], [], "How long."), 1.5),
        ],
        "gauge_livesum": [(mmap_key("open", "open", [], [], "Open now."), 1.0)],
    }
    for kind, values_ in files.items():
        file = MmapedDict(str(folder / f"{kind}_{process_id}.db"))
        for key, value in values_:
            file.write_value(key, value, 0.0)  # pyright: ignore[reportUnknownMemberType] -- no types
        file.close()


def told(folder: Path) -> tuple[dict[tuple[str, ...], float], ...]:
    text = exposition(str(folder)).decode()
    return tuple(values(text, name) for name in ("requests_total", "took_bucket", "took_sum", "took_count", "open"))


def expected(processes: int, alive: int) -> tuple[dict[tuple[str, ...], float], ...]:
    return (
        {("Runs",): 2.0 * processes},
        {("0.1",): 1.0 * processes, ("+Inf",): 2.0 * processes},
        {(): 1.5 * processes},
        {(): 2.0 * processes},
        {(): 1.0 * alive} if alive else {},
    )


def test_what_ended_processes_have_counted_stays_and_their_files_do_not(tmp_path: Path) -> None:
    ended = EndedProcesses(str(tmp_path))
    counted(tmp_path, 1)
    for number in range(2, 20):
        counted(tmp_path, number)
        assert told(tmp_path) == expected(number, alive=2)
        ended.add(number)
        assert told(tmp_path) == expected(number, alive=1)
        assert len(list(tmp_path.iterdir())) == 6, "those of the one that lives, two sums and a lock"
    ended.add(1)
    ended.add(1)
    assert told(tmp_path) == expected(19, alive=0)


def test_what_a_process_leaves_that_is_killed_as_it_makes_its_files_is_no_obstacle(tmp_path: Path) -> None:
    ended = EndedProcesses(str(tmp_path))
    counted(tmp_path, 1)
    (tmp_path / "counter_2.db").touch()
    (tmp_path / "histogram_2.db").write_bytes(b"\xff\x00\x00\x00" + bytes(4) + b"\xff" * 8)
    for number in (2, 1, 3):
        ended.add(number)
    assert told(tmp_path) == expected(1, alive=0)


def test_while_somebody_reads_the_files_stay_until_the_next_process_ends(tmp_path: Path) -> None:
    ended = EndedProcesses(str(tmp_path))
    for number in (1, 2):
        counted(tmp_path, number)
    with (tmp_path / "lock").open("w") as reader:
        fcntl.flock(reader, fcntl.LOCK_SH)
        ended.add(1)
        assert (tmp_path / "counter_1.db").exists()
    ended.add(2)
    assert not list(tmp_path.glob("*_[12].db"))
    assert told(tmp_path) == expected(2, alive=0)


def test_whoever_reads_meanwhile_never_counts_twice_or_misses_anything(tmp_path: Path) -> None:
    ended = EndedProcesses(str(tmp_path))
    for number in range(1, 31):
        counted(tmp_path, number)
    with ThreadPoolExecutor(1) as pool:
        merging = pool.submit(lambda: [ended.add(number) for number in range(1, 31)])
        while not merging.done():
            assert told(tmp_path)[:4] == expected(30, alive=0)[:4]
        merging.result()
    assert told(tmp_path) == expected(30, alive=0)


def test_what_was_added_up_is_not_added_again_when_its_file_cannot_be_removed_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended, unlink = EndedProcesses(str(tmp_path)), Path.unlink

    def refuse(file: Path, *given: Any, **named: Any) -> None:
        if file.name == "counter_1.db":
            raise PermissionError
        unlink(file, *given, **named)

    counted(tmp_path, 1)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", refuse)
        ended.add(1)
    ended.add(2)
    assert told(tmp_path) == expected(1, alive=0)


def test_gauges_that_cannot_be_dropped_are_no_fault_of_the_supervisors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = EndedProcesses(str(tmp_path))
    counted(tmp_path, 1)

    def refuse(*_: object) -> None:
        raise PermissionError

    with monkeypatch.context() as patched:
        patched.setattr("runtime.metric_files.multiprocess.mark_process_dead", refuse)
        ended.add(1)
    ended.add(1)
    assert told(tmp_path) == expected(1, alive=0)
