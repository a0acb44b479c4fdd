"""The node kinds of this process: one line for each, and those that installed plug-ins bring."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING

import structlog

from domain.errors import SetupFault
from domain.kinds import NodeKind
from runtime.nodes import db_write, faiss_search, faiss_upsert, http_request, llm_call, transform

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

BUILT_IN: tuple[NodeKind, ...] = (
    llm_call.KIND,
    http_request.KIND,
    faiss_search.KIND,
    faiss_upsert.KIND,
    db_write.KIND,
    transform.KIND,
)
ENTRY_POINT_GROUP = "anabranch.node_kinds"
_log = structlog.get_logger(__name__)


class Registry:
    """Node kinds by the name of the enum (`HTTP_REQUEST`) and by their field (`httpRequest`)."""

    def __init__(self, kinds: Iterable[NodeKind] = BUILT_IN) -> None:
        self._by_kind: dict[str, NodeKind] = {}
        self._by_name: dict[str, NodeKind] = {}
        for kind in kinds:
            if kind.kind in self._by_kind or kind.name in self._by_name:
                raise SetupFault(f"Two node kinds are called {kind.kind} or {kind.name}; remove one of the plug-ins.")
            self._by_kind[kind.kind] = kind
            self._by_name[kind.name] = kind

    def __iter__(self) -> Iterator[NodeKind]:
        return iter(self._by_kind.values())

    def by_kind(self, kind: str) -> NodeKind | None:
        """Return the kind of a name such as `HTTP_REQUEST`; None if it is not installed."""
        return self._by_kind.get(kind)

    def by_name(self, name: str) -> NodeKind | None:
        """Return the kind of a field such as `httpRequest`; None if it is not installed."""
        return self._by_name.get(name)

    @property
    def names(self) -> Mapping[str, NodeKind]:
        """The kinds by their fields, as `domain.validation.check` takes them."""
        return self._by_name


def load_registry() -> Registry:
    """Return the built-in kinds and those of the entry-point group `anabranch.node_kinds`.

    Raises:
        SetupFault: a plug-in cannot be loaded, is no node kind, or takes a name that is taken.
    """
    return Registry((*BUILT_IN, *_installed()))


def _installed() -> Iterator[NodeKind]:
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        try:
            kind = entry.load()
        except Exception as error:
            raise SetupFault(f"The node kind {entry.name!r} of {entry.value!r} cannot be loaded: {error}") from error
        if not isinstance(kind, NodeKind):
            raise SetupFault(f"{entry.value!r} is no NodeKind; the entry point {entry.name!r} must name one.")
        _log.info("registry.plugin", kind=kind.kind, source=entry.value)
        yield kind
