"""Plug-ins: installed packages that bring node kinds, found by the entry-point group `anabranch.node_kinds`."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from domain.errors import SetupFault
from domain.kind_faults import faults_of
from domain.kinds import NodeKind

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

ENTRY_POINT_GROUP = "anabranch.node_kinds"
_MOST_FAULTS = 5


@dataclass(frozen=True, slots=True)
class PlugIn:
    """One entry point of an installed package; nothing of it is imported before `load`."""

    entry: EntryPoint

    @property
    def source(self) -> str:
        """The package with its version, and where in it the kind is."""
        package = self.entry.dist
        named = f"{package.name} {package.version}, " if package is not None else ""
        return f"{named}{self.entry.name} = {self.entry.value}"

    def load(self) -> NodeKind:
        """Import the kind and look at it.

        Raises:
            SetupFault: it cannot be imported, is no node kind, or one that lacks something.
        """
        try:
            kind = self.entry.load()
        except (Exception, SystemExit) as error:
            told = f"{type(error).__name__}: {error}"
            raise SetupFault(self.told(f"cannot be imported ({told})")) from error
        if not isinstance(kind, NodeKind):
            raise SetupFault(self.told(f"is no NodeKind but {type(kind).__name__}"))
        faults = faults_of(kind)
        if faults:
            raise SetupFault(self.told(f"is not sound: {' '.join(faults[:_MOST_FAULTS])}"))
        return kind

    def told(self, what: str) -> str:
        """Return a sentence about it that says what to do."""
        return f"The plug-in {self.source} {what.removesuffix('.')}. Repair or uninstall it."


def find_plug_ins() -> list[PlugIn]:
    """Return the plug-ins of this environment, by package and name."""
    return sorted((PlugIn(entry) for entry in entry_points(group=ENTRY_POINT_GROUP)), key=lambda one: one.source)
