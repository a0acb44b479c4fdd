"""The files in which processes that share a port count: read by any of them, and kept few by their supervisor."""

from __future__ import annotations

import fcntl
import struct
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import structlog
from prometheus_client import CollectorRegistry, generate_latest, multiprocess
from prometheus_client.mmap_dict import MmapedDict

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable
    from typing import TypeAlias

    _Read: TypeAlias = Callable[[str], Iterable[tuple[str, float, float, int]]]

_SUMMED: Final = ("counter", "histogram")
_ENDED: Final = "ended"
"""Stands in the name of a file where the others have a process id."""

_log = structlog.get_logger(__name__)


def exposition(folder: str) -> bytes:
    """Return what all processes have counted, in Prometheus' text format."""
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry, folder)
    with _locked(Path(folder), fcntl.LOCK_SH):
        return generate_latest(registry)


class EndedProcesses:
    """Takes the files of processes that have ended together: what they counted stays counted, in one file of a kind."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        self._waiting: set[Path] = set()
        self._taken: set[Path] = set()

    def add(self, process_id: int) -> None:
        """Drop the gauges of a process that has ended, and take over what it counted.

        While somebody reads, that is left for when the next one ends: a reader that is frozen must not freeze the supervisor.
        """
        self._waiting |= {self._folder / f"{kind}_{process_id}.db" for kind in _SUMMED}
        try:
            multiprocess.mark_process_dead(process_id, str(self._folder))  # pyright: ignore[reportUnknownMemberType] -- no types
            with suppress(BlockingIOError), _locked(self._folder, fcntl.LOCK_EX | fcntl.LOCK_NB):
                for kind in _SUMMED:
                    self._take_over(kind)
        except (OSError, ValueError):
            # Metrics are no reason to leave processes without their supervisor.
            _log.exception("metrics.files_not_merged")

    def _take_over(self, kind: str) -> None:
        """Add up what is in the files of those who have ended; nobody reads between the steps."""
        ended = {file for file in self._waiting if file.name.startswith(f"{kind}_")}
        if not any(file.exists() for file in ended):
            self._waiting -= ended
            return
        sum_, new = self._folder / f"{kind}_{_ENDED}.db", self._folder / f"{kind}_{_ENDED}.new"
        new.unlink(missing_ok=True)
        total = MmapedDict(str(new))
        for key, value in _added([sum_, *ended]).items():
            total.write_value(key, value, 0.0)  # pyright: ignore[reportUnknownMemberType] -- no types
        total.close()
        new.replace(sum_)
        # At once: whatever goes wrong behind this, nothing is added a second time.
        self._waiting -= ended
        self._taken |= ended
        for file in list(self._taken):
            file.unlink(missing_ok=True)
            self._taken.remove(file)


def _added(files: Iterable[Path]) -> dict[str, float]:
    sums: dict[str, float] = {}
    for file in files:
        # Whoever was killed while it made the file has left nothing readable; what comes before a bad place counts.
        with suppress(FileNotFoundError, RuntimeError, ValueError, struct.error):
            for key, value, _, _ in cast("_Read", MmapedDict.read_all_values_from_file)(str(file)):  # pyright: ignore[reportUnknownMemberType] -- no types
                sums[key] = sums.get(key, 0.0) + value
    return sums


@contextmanager
def _locked(folder: Path, how: int) -> Generator[None]:
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, how)
        yield
