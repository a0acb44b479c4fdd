"""Workflow files taken in: read, held against what is stored, written whole or not at all."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from domain.config_fields import canonical
from domain.document import WorkflowDocument, dump, load
from domain.errors import AlreadyExists, Conflict, InvalidInput, NotFound, UserFault
from domain.identity import Permission
from domain.imports import ImportMode, refuse_unstorable, told_by_file
from domain.slugs import slug_of
from domain.workflow import WorkflowChange, WorkflowDraft

if TYPE_CHECKING:
    from collections.abc import Mapping

    from domain.identity import Principal
    from domain.ids import WorkspaceId
    from domain.kinds import NodeKind
    from domain.workflow import Workflow
    from runtime.workflows import WorkflowService

_MAX_ROUNDS: Final = 5
_MAX_READERS: Final = 2


@dataclass(frozen=True, slots=True)
class Imported:
    """A workflow as the import left it."""

    workflow: Workflow
    is_created: bool


class WorkflowFiles:
    """Makes and changes workflows from files on behalf of a caller."""

    def __init__(self, workflows: WorkflowService, kinds: Mapping[str, NodeKind]) -> None:
        self._workflows = workflows
        self._kinds = kinds
        # Reading a large file takes seconds of one core: a few at once are enough.
        self._readers = asyncio.Semaphore(_MAX_READERS)

    async def take_in(
        self,
        actor: Principal,
        workspace_id: WorkspaceId | None,
        text: str,
        mode: ImportMode,
        expected_revision: int | None,
    ) -> Imported:
        """Make the workflow of a file, or bring it to what the file says; a draft that says so already is left alone.

        Raises:
            NotFound, WorkspaceRequired, Forbidden: the workspace is not one in which the caller may do this.
            DocumentFault: the file, or the graph in it, cannot be stored; every problem with line and column.
            AlreadyExists: with CREATE, the slug is taken.
            Conflict: with UPSERT, the draft is at another revision than the expected one.
            InvalidInput: a revision is expected of a workflow that is to be made.
        """
        workspace = actor.workspace(workspace_id, Permission.WRITE)
        if mode is ImportMode.CREATE and expected_revision is not None:
            message = "A workflow that is to be made has no revision; `expectedRevision` goes with the mode UPSERT."
            raise InvalidInput(message, path=["input", "expectedRevision"])
        document = await self._read(text)
        try:
            if mode is ImportMode.CREATE:
                return Imported(await self._create(actor, workspace, document, document.slug), is_created=True)
            return await self._upsert(actor, workspace, document, expected_revision)
        except UserFault as fault:
            raise told_by_file(document, fault) from fault

    async def _read(self, text: str) -> WorkflowDocument:
        def read() -> WorkflowDocument:
            document = load(text, self._kinds)
            refuse_unstorable(document)
            return document

        async with self._readers:
            return await asyncio.to_thread(read)

    async def _create(
        self, actor: Principal, workspace: WorkspaceId, document: WorkflowDocument, slug: str | None
    ) -> Workflow:
        draft = WorkflowDraft(document.name, slug, document.description, document.definition)
        return await self._workflows.create(actor, workspace, draft)

    async def _upsert(
        self, actor: Principal, workspace: WorkspaceId, document: WorkflowDocument, expected: int | None
    ) -> Imported:
        slug = document.slug or slug_of(document.name)
        for is_last in (*(False,) * (_MAX_ROUNDS - 1), True):
            stored = await self._workflows.find_by_slug(actor, workspace, slug)
            try:
                if stored is not None:
                    return Imported(await self._update(actor, stored, document, expected), is_created=False)
                if expected is not None:
                    message = (
                        f"There is no workflow {slug!r} that could be at revision {expected}; expect none to make it."
                    )
                    raise NotFound(message, path=["input", "expectedRevision"])
                return Imported(await self._create(actor, workspace, document, slug), is_created=True)
            except (AlreadyExists, Conflict):
                # Somebody was in between; who expects no revision means whatever is there now.
                if is_last or expected is not None:
                    raise
        raise AssertionError  # the last round returns or raises

    async def _update(
        self, actor: Principal, stored: Workflow, document: WorkflowDocument, expected: int | None
    ) -> Workflow:
        if expected in {None, stored.revision} and self._says_the_same(stored, document):
            return stored
        change = WorkflowChange(
            name=document.name,
            description=document.description,
            graph=document.definition.graph,
            input_schema=document.definition.input_schema,
            output=document.definition.output,
            settings=document.definition.settings.model_dump(by_alias=True),
        )
        based_on = stored.revision if expected is None else expected
        return await self._workflows.update(actor, stored.id, based_on, change)

    def _says_the_same(self, stored: Workflow, document: WorkflowDocument) -> bool:
        # The graph was looked at when the file was read: it is sound, as `canonical` needs it.
        definition = canonical(document.definition, self._kinds)
        was = dump(stored.name, None, stored.description, stored.definition)
        return was == dump(document.name.strip(), None, document.description, definition)
