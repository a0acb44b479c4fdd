"""Calls of webhooks: whose they are, whether they may start a run, and the run that each starts once."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final, Protocol

from uuid_utils.compat import uuid7

from domain.errors import Conflict, Contended, KeyTaken, LimitExceeded, NotFound, RateLimited
from domain.ids import RunId
from domain.ports.new_runs import NewRun
from domain.run import TriggerKind
from domain.signatures import verify
from domain.webhooks import Delivery, check_delivery_id
from runtime.identity import utc_now
from runtime.input_schema import settled_input
from runtime.rates import Tries
from runtime.run_room import UNLIMITED
from runtime.run_starts import computed_key, encoded_input
from runtime.tokens import hash_opaque

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from domain.ids import GraphId
    from domain.json_value import Json
    from domain.ports.webhooks import WebhookCalls
    from domain.signatures import SignedHeaders
    from domain.webhooks import CalledWebhook
    from domain.workflow import Definition
    from runtime.encryption import Vault
    from runtime.run_room import RunRoom

MAX_TOKEN: Final = 100
MAX_WAITING: Final = 10_000
"""How many runs of a workspace, or of a workflow with turns, may wait when another is started from outside."""
UNKNOWN: Final = "There is no webhook at this address."
BURST: Final = 100.0
PER_S: Final = 20.0
_UNPROVEN: Final = 5
"""So many times more calls have their signature looked at: whoever has only the URL spends nothing of those that are signed."""
_TRIES: Final = 10
_CROWDED_S: Final = 30.0


class StartsRuns(Protocol):
    """What begins runs."""

    async def start(self, new: NewRun) -> None:
        """Insert a run."""
        ...


@dataclass(frozen=True, slots=True)
class Answered:
    """The run that a call has started, or that an earlier attempt to deliver the same had."""

    run_id: RunId
    is_existing: bool


class WebhookCaller:
    """Takes calls of webhooks, step by step: `find`, `admit`, with the body `find` again, `accept`, `start`."""

    def __init__(
        self,
        calls: WebhookCalls,
        vault: Vault,
        definition: Callable[[GraphId], Awaitable[Definition]],
        engine: StartsRuns,
        on_started: Callable[[RunId], None],
        *,
        clock: Callable[[], datetime] = utc_now,
        max_waiting: int = MAX_WAITING,
        room: RunRoom = UNLIMITED,
    ) -> None:
        self._calls = calls
        self._vault = vault
        self._definition = definition
        self._engine = engine
        self._on_started = on_started
        self._clock = clock
        self._max_waiting = max_waiting
        self._room = room
        self._tries = Tries(clock, BURST, PER_S)
        self._unproven = Tries(clock, _UNPROVEN * BURST, _UNPROVEN * PER_S)

    async def find(self, token: str) -> CalledWebhook | None:
        """Find what a token stands for."""
        return await self._calls.find(hash_opaque(token)) if len(token) <= MAX_TOKEN else None

    def admit(self, called: CalledWebhook) -> None:
        """Count a call, before its body is read.

        Raises:
            RateLimited: this webhook was called more than 100 times at once, and 20 times a second after that; where a
                signature is still to be looked at, five times as often.
        """
        self._spend(self._tries if called.ciphertext is None else self._unproven, called)

    def accept(
        self, called: CalledWebhook, headers: SignedHeaders, idempotency_key: str | None, body: bytes
    ) -> Delivery:
        """Check the signature of a call, where one is demanded, count what is signed, and return what is to be delivered.

        Without a signature, an id, or else an idempotency key, may be given; each call without one is one of its own.

        Raises:
            SignatureRefused: it is not signed as it must be.
            InvalidInput: the id is not acceptable.
            RateLimited: signed calls came more than 100 times at once, and 20 times a second after that.
            SecretUnreadable: the key of the webhook cannot be opened.
        """
        webhook, now = called.webhook, self._clock()
        if called.ciphertext is None:
            given = headers.id if headers.id is not None else idempotency_key
            key = None if given is None else check_delivery_id(given)
        else:
            signing_key = self._vault.open(called.ciphertext, workspace_id=webhook.workspace_id, object_id=webhook.id)
            key = verify(signing_key, headers, body, now)
            self._spend(self._tries, called)
        return Delivery(webhook.id, called.token_hash, key, sha256(body).digest(), now)

    async def start(self, called: CalledWebhook, delivery: Delivery, given: Json) -> Answered:
        """Start a run of the published version, unless the same was delivered before: then that run is the answer.

        Raises:
            NotFound: the webhook was deleted or rotated meanwhile, or its workflow was deleted.
            Conflict: the key was delivered with another body, or nothing is published, or it cannot be run any more.
            InvalidInput: the input does not satisfy the schema of the published version, or gives no concurrency key.
            LimitExceeded: the input is larger than 1 MiB.
            RateLimited: very many runs wait already, or the workspace has as many that have not ended as it may.
            Contended: others deliver the same, or change the webhook or its workflow, in this moment.
        """
        for _ in range(_TRIES):
            earlier = await self._earlier(delivery)
            if earlier is not None:
                return Answered(earlier, is_existing=True)
            run = await self._new_run(called, delivery, given)
            try:
                await self._engine.start(run)
            except KeyTaken:
                continue  # the same was delivered to another process in this moment
            except NotFound as error:
                if await self._calls.find(called.token_hash) is None:
                    raise NotFound(UNKNOWN) from error
                # What is published has a node whose plug-in was taken away: the address is right all the same.
                raise Conflict(error.message) from error
            self._on_started(run.id)
            return Answered(run.id, is_existing=False)
        raise Contended("The same is delivered by too many calls at once; try again.")

    def _spend(self, tries: Tries, called: CalledWebhook) -> None:
        wait_s = tries.take(called.webhook.id.hex)
        if wait_s is not None:
            raise RateLimited("This webhook is called too often; wait before the next call.", retry_after_s=wait_s)

    async def _earlier(self, delivery: Delivery) -> RunId | None:
        if delivery.key is None:
            return None
        found = await self._calls.find_delivery(delivery.webhook_id, delivery.key)
        if found is None:
            return None
        if found.body_hash != delivery.body_hash:
            raise Conflict("This id was delivered before with another body; give each delivery an id of its own.")
        return found.run_id

    async def _new_run(self, called: CalledWebhook, delivery: Delivery, given: Json) -> NewRun:
        webhook, published = called.webhook, called.published
        if published is None:
            raise Conflict("The workflow of this webhook has no published version yet; publish it first.")
        definition = await self._definition(published.graph_id)
        settled = settled_input(definition.input_schema, given)
        encoded = encoded_input(settled)
        key = computed_key(definition, settled)
        if await self._calls.is_crowded(webhook, self._max_waiting):
            raise RateLimited("Very many runs wait already; try again later.", retry_after_s=_CROWDED_S)
        try:
            await self._room.demand(webhook.workspace_id)
        except LimitExceeded as error:
            # The body is not at fault: the same call is taken when runs have ended.
            raise RateLimited(error.message, retry_after_s=_CROWDED_S) from error
        return NewRun(
            RunId(uuid7()),
            webhook.workspace_id,
            webhook.workflow_id,
            published.graph_id,
            len(definition.graph.nodes),
            TriggerKind.WEBHOOK,
            None,
            encoded,
            delivery.at,
            concurrency_key=key,
            turns=definition.settings.concurrency,
            version=published.number,
            delivery=delivery,
        )
