"""What a call of a webhook starts, and what it does not start a second time."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from domain.errors import Conflict, Contended, InvalidInput, NotFound, RateLimited, SecretUnreadable, SignatureRefused
from domain.run import RunQuery, RunStatus
from domain.signatures import SignedHeaders, sign
from domain.webhooks import KEPT
from domain.workflow import ConcurrencyPolicy, ConcurrencyStrategy, WorkflowSettings
from persistence.run_counts import PostgresRunCounts
from persistence.webhook_calls import PostgresWebhookCalls
from runtime.encryption import Vault
from runtime.rates import Tries
from runtime.run_room import UNLIMITED, RunRoom
from runtime.webhook_calls import WebhookCaller
from runtime.webhook_sweep import DeliverySweep
from tests.support.hooks import called_workflow, deliver
from tests.support.identity import Clock, make_principal, vault
from tests.support.services import open_test_services

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from domain.identity import Principal
    from domain.ports.new_runs import NewRun
    from domain.webhooks import CalledWebhook
    from persistence.database import Database
    from runtime.services import Services


@pytest.fixture
async def ada(database: Database) -> Principal:
    return await make_principal(database)


@pytest.fixture
async def services(database_url: str, tmp_path: Path) -> AsyncGenerator[Services]:
    async with open_test_services(database_url, tmp_path) as services:
        yield services


async def hook(services: Services, ada: Principal, *, is_signed: bool = False, **more: Any) -> tuple[str, str]:
    """Make a webhook of a workflow of its own; gives token and key."""
    workflow_id = await called_workflow(services, ada, **more)
    made = await services.webhooks.create(ada, workflow_id, "shop", is_signed=is_signed)
    return made.token, made.signing_key or ""


async def count(database: Database, what: str) -> int:
    async with database.connection() as connection:
        return (await connection.execute(text(f"SELECT count(*) FROM {what}"))).scalar_one()  # noqa: S608 -- a table


async def found(services: Services, token: str) -> CalledWebhook:
    called = await services.webhook_caller.find(token)
    assert called is not None
    return called


class Engine:
    """Takes runs and starts none."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.fault = fault
        self.started: list[NewRun] = []

    async def start(self, new: NewRun) -> None:
        if self.fault is not None:
            raise self.fault
        self.started.append(new)


def caller(services: Services, database: Database, engine: Engine | None = None, **more: Any) -> WebhookCaller:
    """Make what takes calls with parts of the test's own."""
    calls, definition = PostgresWebhookCalls(database), services.runs.definition
    return WebhookCaller(calls, vault(), definition, engine or Engine(), lambda _: None, **more)


async def test_the_same_delivered_to_two_processes_at_once_starts_one_run(
    database: Database, database_url: str, services: Services, ada: Principal, tmp_path: Path
) -> None:
    token, _ = await hook(services, ada)
    async with open_test_services(database_url, tmp_path / "other") as other:
        told = await asyncio.gather(*(deliver(one, token, key="a") for one in (services, other) * 10))
        assert len({one.run_id for one in told}) == 1
        assert [one.is_existing for one in told].count(False) == 1
        assert await services.runs.count(ada, None, RunQuery()) == 1
        async for _ in services.runs.follow(ada, told[0].run_id, None):
            pass
        assert (await services.runs.get(ada, told[0].run_id)).status is RunStatus.SUCCEEDED
    assert await count(database, "webhook_deliveries") == 1


async def test_a_delivery_starts_no_second_run_though_the_first_was_deleted(
    database: Database, services: Services, ada: Principal
) -> None:
    token, _ = await hook(services, ada)
    first = await deliver(services, token, key="a")
    async for _ in services.runs.follow(ada, first.run_id, None):
        pass
    async with database.connection() as connection:
        await connection.execute(text("DELETE FROM runs"))
    again = await deliver(services, token, key="a")
    assert (again.run_id, again.is_existing) == (first.run_id, True)
    assert await count(database, "runs") == 0


async def test_a_key_is_one_webhooks_own_and_no_idempotency_key_of_runs(services: Services, ada: Principal) -> None:
    token, other = (await hook(services, ada))[0], (await hook(services, ada))[0]
    runs = [await deliver(services, one, key="a") for one in (token, other)]
    assert [one.is_existing for one in runs] == [False, False]
    assert (await services.runs.get(ada, runs[0].run_id)).idempotency_key is None


async def test_the_same_key_with_another_body_is_a_conflict(services: Services, ada: Principal) -> None:
    token, _ = await hook(services, ada)
    await deliver(services, token, b"{}", key="a")
    with pytest.raises(Conflict, match="another body"):
        await deliver(services, token, b"[]", key="a")


async def test_an_input_that_is_refused_leaves_its_key_to_the_next_try(services: Services, ada: Principal) -> None:
    token, _ = await hook(services, ada, input_schema={"type": "object", "required": ["a"]})
    with pytest.raises(InvalidInput):
        await deliver(services, token, b"{}", key="a")
    assert not (await deliver(services, token, b'{"a": 1}', key="a")).is_existing


async def test_a_webhook_that_is_rotated_or_deleted_while_it_is_called_starts_nothing(
    services: Services, ada: Principal
) -> None:
    for is_deleted in (True, False):
        token, _ = await hook(services, ada)
        called = await found(services, token)
        delivery = services.webhook_caller.accept(called, SignedHeaders(), "a", b"{}")
        if is_deleted:
            await services.webhooks.delete(ada, called.webhook.id)
        else:
            await services.webhooks.rotate(ada, called.webhook.id)
        with pytest.raises(NotFound, match="no webhook at this address"):
            await services.webhook_caller.start(called, delivery, {})
    assert await services.runs.count(ada, None, RunQuery()) == 0
    assert services.engine.run_count == 0


async def test_a_workflow_takes_its_webhooks_along(database: Database, services: Services, ada: Principal) -> None:
    token, _ = await hook(services, ada)
    called = await found(services, token)
    run = await deliver(services, token, key="a")
    async for _ in services.runs.follow(ada, run.run_id, None):
        pass
    delivery = services.webhook_caller.accept(called, SignedHeaders(), "b", b"{}")
    await services.workflows.delete(ada, called.webhook.workflow_id)
    assert await services.webhook_caller.find(token) is None
    with pytest.raises(NotFound):
        await services.webhook_caller.start(called, delivery, {})
    assert [await count(database, name) for name in ("webhooks", "runs")] == [0, 0]
    assert await count(database, "webhook_deliveries") == 1, "which go by age: there may be millions"


async def test_a_published_version_whose_plug_in_is_gone_is_no_unknown_address(
    database: Database, services: Services, ada: Principal
) -> None:
    token, _ = await hook(services, ada)
    called = await found(services, token)
    gone = caller(services, database, Engine(NotFound("The node kind 'taken' is not installed.")))
    with pytest.raises(Conflict, match="'taken' is not installed"):
        await gone.start(called, gone.accept(called, SignedHeaders(), None, b"{}"), {})


async def test_runs_of_a_workflow_with_turns_take_turns_and_are_remembered(services: Services, ada: Principal) -> None:
    policy = ConcurrencyPolicy(key="{{ input.k }}", max_runs=1, strategy=ConcurrencyStrategy.QUEUE)
    token, _ = await hook(services, ada, settings=WorkflowSettings(concurrency=policy))
    told = [await deliver(services, token, b'{"k": "x"}', key=key) for key in ("a", "b", "a")]
    assert [one.is_existing for one in told] == [False, False, True]
    for one in told[:2]:
        async for _ in services.runs.follow(ada, one.run_id, None):
            pass
        assert (await services.runs.get(ada, one.run_id)).concurrency_key == "x"


async def test_a_call_is_refused_while_very_many_runs_wait(
    database: Database, services: Services, ada: Principal
) -> None:
    token, _ = await hook(services, ada)
    called = await found(services, token)
    engine = Engine()
    narrow = caller(services, database, engine, max_waiting=2)
    delivery = narrow.accept(called, SignedHeaders(), None, b"{}")
    await narrow.start(called, delivery, {})
    run = await deliver(services, token)
    statements = {
        "queued": "INSERT INTO queued_runs SELECT gen_random_uuid(), workspace_id, 3 FROM runs, generate_series(1, 2)",
        "held": "UPDATE runs SET is_held = true, concurrency_limit = 1, status = 'QUEUED'",
    }
    async for _ in services.runs.follow(ada, run.run_id, None):
        pass
    async with database.connection() as connection:
        await connection.execute(text("ALTER TABLE queued_runs DROP CONSTRAINT queued_runs_run_id_fkey"))
        await connection.execute(text(statements["queued"]))
    with pytest.raises(RateLimited) as refused:
        await narrow.start(called, delivery, {})
    assert refused.value.retry_after_s == 30
    async with database.connection() as connection:
        await connection.execute(text("DELETE FROM queued_runs"))
        await connection.execute(text(statements["held"]))
    assert not await PostgresWebhookCalls(database).is_crowded(called.webhook, 2)
    assert await PostgresWebhookCalls(database).is_crowded(called.webhook, 1)
    assert len(engine.started) == 1


async def test_a_workspace_that_may_have_no_more_runs_starts_none_by_webhooks_and_is_not_told_of_its_body(
    database: Database, services: Services, ada: Principal
) -> None:
    token, _ = await hook(services, ada)
    called, engine = await found(services, token), Engine()
    full = caller(services, database, engine, room=RunRoom(0, PostgresRunCounts(database)))
    with pytest.raises(RateLimited, match="ANABRANCH_LIMITS__UNFINISHED_RUNS") as refused:
        await full.start(called, full.accept(called, SignedHeaders(), None, b"{}"), {})
    assert (refused.value.retry_after_s, engine.started) == (30, [])
    assert services.webhook_caller._room is not UNLIMITED


async def test_a_webhook_that_somebody_is_long_in_changing_keeps_its_calls_two_seconds_at_most(
    database: Database, services: Services, ada: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("persistence.starts._SOON", "SET LOCAL lock_timeout = '50ms'")
    token, _ = await hook(services, ada)
    async with database.direct() as holder, holder.transaction():
        await holder.execute("SELECT 1 FROM webhooks FOR UPDATE")
        with pytest.raises(Contended):
            await deliver(services, token, key="a")
    assert (services.engine.run_count, await count(database, "runs")) == (0, 0)
    assert not (await deliver(services, token, key="a")).is_existing


async def test_whoever_has_only_the_url_spends_no_call_of_those_who_sign(
    database: Database, services: Services, ada: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.webhook_calls.BURST", 1.0)
    token, key = await hook(services, ada, is_signed=True)
    called, clock = await found(services, token), Clock()
    narrow = caller(services, database, clock=clock)
    now = str(int(clock.now.timestamp()))
    for _ in range(3):
        narrow.admit(called)
        with pytest.raises(SignatureRefused):
            narrow.accept(called, SignedHeaders("m", now, "v1,AAAA"), None, b"{}")
    rightly = SignedHeaders("m", now, sign(key, "m", now, b"{}"))
    for _ in range(2):
        narrow.admit(called)
    narrow.accept(called, rightly, None, b"{}")
    with pytest.raises(RateLimited):
        narrow.accept(called, rightly, None, b"{}")
    with pytest.raises(RateLimited):
        narrow.admit(called)


async def test_the_last_call_is_noted_to_the_minute(database: Database, services: Services, ada: Principal) -> None:
    token, _ = await hook(services, ada)
    assert (await found(services, token)).webhook.last_called_at is None
    clock = Clock()
    timed = WebhookCaller(
        PostgresWebhookCalls(database), vault(), services.runs.definition, services.engine, lambda _: None, clock=clock
    )
    noted: list[Any] = []
    for seconds in (30, 20, 20):
        clock.advance(seconds=seconds)
        called = await found(services, token)
        await timed.start(called, timed.accept(called, SignedHeaders(), None, b"{}"), {})
        noted.append((await found(services, token)).webhook.last_called_at)
    first = clock.now.replace(second=0) - timedelta(minutes=1)
    assert noted == [first, first, first + timedelta(minutes=1)]


async def test_deliveries_are_forgotten_after_three_days(
    database: Database, services: Services, ada: Principal
) -> None:
    token, _ = await hook(services, ada)
    run = await deliver(services, token, key="a")
    async with database.connection() as connection:
        made = (await connection.execute(text("SELECT at FROM webhook_deliveries"))).scalar_one()
    clock = Clock(made + KEPT)
    sweep = DeliverySweep(PostgresWebhookCalls(database), clock=clock)
    assert await sweep.sweep() == 0
    clock.advance(seconds=1)
    assert (await sweep.sweep(), await sweep.sweep()) == (1, 0)
    assert (await deliver(services, token, key="a")).run_id != run.run_id


async def test_a_key_that_cannot_be_opened_takes_no_call(
    database: Database, services: Services, ada: Principal
) -> None:
    token, key = await hook(services, ada, is_signed=True)
    called, other = await found(services, token), await found(services, (await hook(services, ada, is_signed=True))[0])
    now = "1700000000"
    headers = SignedHeaders("m", now, sign(key, "m", now, b"{}"))
    strange = WebhookCaller(
        PostgresWebhookCalls(database), Vault(["Zm9yZWlnbmZvcmVpZ25mb3JlaWduZm9yZWlnbjEyMzQ="]), services.runs.definition,
        Engine(), lambda _: None,
    )  # fmt: skip
    with pytest.raises(SecretUnreadable):
        strange.accept(called, headers, None, b"{}")
    with pytest.raises(SignatureRefused):  # the key of one webhook signs for no other
        services.webhook_caller.accept(other, headers, None, b"{}")


async def test_token_and_key_are_nowhere_in_the_database(
    database: Database, services: Services, ada: Principal
) -> None:
    token, key = await hook(services, ada, is_signed=True)
    async with database.connection() as connection:
        rows = str((await connection.execute(text("SELECT w::text FROM webhooks w"))).scalars().all())
    assert token[:9] in rows
    for secret in (token, key, key.removeprefix("whsec_")):
        assert secret not in rows
        assert secret.encode().hex() not in rows


def test_a_bucket_is_refilled_with_time() -> None:
    clock = Clock()
    tries = Tries(clock, 2.0, 4.0)
    assert [tries.take("a"), tries.take("a"), tries.take("a"), tries.take("b")] == [None, None, 0.25, None]
    clock.advance(seconds=0.25)
    assert [tries.take("a"), tries.take("a")] == [None, 0.25]
