"""The node kinds of this process: one line for each, and those that installed plug-ins bring."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from domain.errors import SetupFault
from domain.kind_faults import clash_of
from runtime.nodes import (
    approval,
    branch,
    db_write,
    faiss_search,
    faiss_upsert,
    http_request,
    llm_call,
    subworkflow,
    transform,
    wait,
)
from runtime.plug_ins import find_plug_ins

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from domain.kinds import NodeKind
    from runtime.plug_ins import PlugIn

BUILT_IN: tuple[NodeKind, ...] = (
    llm_call.KIND,
    http_request.KIND,
    faiss_search.KIND,
    faiss_upsert.KIND,
    db_write.KIND,
    transform.KIND,
    branch.KIND,
    wait.KIND,
    approval.KIND,
    subworkflow.KIND,
)
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


def load_registry(*, is_logged: bool = False) -> Registry:
    """Return the built-in kinds and those of installed plug-ins.

    Not logged by itself: what is written to the standard output, such as the schema, may be all that is wanted.

    Raises:
        SetupFault: a plug-in cannot be loaded, is no sound node kind, or takes a name that is taken.
    """
    kinds = list(BUILT_IN)
    for plug_in in find_plug_ins():
        kinds.append(take_in(plug_in, kinds))
        if is_logged:
            _log.info("registry.plugin", kind=kinds[-1].kind, source=plug_in.source)
    return Registry(kinds)


def take_in(plug_in: PlugIn, kinds: Iterable[NodeKind]) -> NodeKind:
    """Return the kind of a plug-in, which is to stand beside the others.

    Raises:
        SetupFault: it cannot be loaded, is no sound node kind, or takes a name that is taken.
    """
    kind = plug_in.load()
    clash = clash_of(kind, kinds)
    if clash is not None:
        raise SetupFault(plug_in.told(f"cannot be taken in: {clash}"))
    return kind
