"""Webhooks for tests: made over the services, called as a sender does, over HTTP or without."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from domain.signatures import SignedHeaders, sign
from domain.workflow import Definition, Graph, GraphNode, WorkflowDraft

if TYPE_CHECKING:
    from collections.abc import Mapping

    import aiohttp

    from domain.identity import Principal
    from domain.ids import WorkflowId
    from runtime.services import Services
    from runtime.webhook_calls import Answered

_STEP = GraphNode(key="step", config={"transform": {"fields": [{"name": "one", "value": "{{ input }}"}]}})
MAKE = """mutation ($i: CreateWebhookInput!) { createWebhook(input: $i) {
  webhook { id prefix isSigned } url signingKey userErrors { code message path } } }"""


async def called_workflow(
    services: Services, owner: Principal, *, is_published: bool = True, **more: Any
) -> WorkflowId:
    """Make a workflow of one node that does next to nothing."""
    draft = WorkflowDraft("Called", definition=Definition(graph=Graph(nodes=(_STEP,)), **more))
    made = await services.workflows.create(owner, None, draft)
    if is_published:
        await services.versions.publish(owner, made.id, made.revision, None)
    return made.id


def signed(key: str, id_: str, body: bytes, at: float | None = None) -> dict[str, str]:
    """Return the headers of a call that is signed now, or at another time."""
    timestamp = str(int(time.time() if at is None else at))
    return {"webhook-id": id_, "webhook-timestamp": timestamp, "webhook-signature": sign(key, id_, timestamp, body)}


@dataclass(frozen=True)
class Told:
    """What a sender is answered."""

    status: int
    body: Any
    headers: Mapping[str, str]

    @property
    def codes(self) -> list[str]:
        """The codes of its errors."""
        return [error["code"] for error in self.body["errors"]]


async def post(
    session: aiohttp.ClientSession, url: str, body: bytes = b"{}", headers: Mapping[str, str] | None = None
) -> Told:
    """Call a webhook over HTTP."""
    sent = {"Content-Type": "application/json", **(headers or {})}
    async with session.post(url, data=body, headers=sent) as answer:
        return Told(answer.status, await answer.json(), answer.headers)


async def deliver(services: Services, token: str, body: bytes = b"{}", **headers: str) -> Answered:
    """Call a webhook as the endpoint does, without a socket."""
    caller = services.webhook_caller
    called = await caller.find(token)
    assert called is not None
    given = SignedHeaders(*(headers.get(name) for name in ("id", "timestamp", "signature")))
    delivery = caller.accept(called, given, headers.get("key"), body)
    return await caller.start(called, delivery, orjson.loads(body))
