from __future__ import annotations

import asyncio
from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from domain.connections import HttpAuthScheme, HttpAuthSettings
from domain.errors import SecretUnreadable
from domain.ids import WorkflowId
from domain.ports.repositories import WorkflowRow
from domain.ports.sealed import SealedKind
from persistence.audit import PostgresAudit
from persistence.connections import PostgresConnections
from persistence.database import open_database
from persistence.sealed import PostgresSealedValues
from persistence.secrets import PostgresSecrets
from persistence.webhooks import PostgresWebhooks
from persistence.workflows import PostgresWorkflows
from runtime.audit import AuditService
from runtime.connections import ConnectionDraft, ConnectionService
from runtime.encryption import Vault
from runtime.rotation import KeyRotation, Rotated, Tally
from runtime.secrets import SecretService
from runtime.webhooks import WebhookService
from tests.support.cli import anabranch
from tests.support.identity import START, Clock, make_principal, reach_anywhere
from tests.support.kinds import graph

if TYPE_CHECKING:
    from domain.identity import Principal
    from persistence.database import Database
    from tests.support.cli import Command

__all__ = ["anabranch"]

OLD, NEW, FOREIGN = (urlsafe_b64encode(bytes([number]) * 32).decode() for number in (1, 2, 3))
SECRETS = 7


def services(database: Database, *keys: str) -> tuple[SecretService, ConnectionService]:
    vault = Vault(keys)
    return (
        SecretService(PostgresSecrets(database), vault),
        ConnectionService(PostgresConnections(database), vault, reach_anywhere),
    )


def rotation(database: Database, *keys: str) -> KeyRotation:
    return KeyRotation(PostgresSealedValues(database), Vault(keys), batch=3)


async def fill(database: Database, key: str) -> Principal:
    ada = await make_principal(database, "ada")
    secrets, connections = services(database, key)
    for number in range(SECRETS):
        await secrets.create(ada, None, f"KEY_{number}", f"value {number}", None)
    settings = HttpAuthSettings(HttpAuthScheme.BEARER, ("https://a.example",), None, None)
    await connections.create(ada, None, ConnectionDraft("peer", settings, "a token"))
    await fill_webhooks(database, ada, key)
    return ada


async def fill_webhooks(database: Database, ada: Principal, key: str) -> None:
    """Make a workflow with a webhook that is signed, and one that is not."""
    (home,) = ada.roles
    workflows = PostgresWorkflows(database)
    row = WorkflowRow(WorkflowId(uuid4()), home, "called", "Called", None, graph("a"), (), START, None)
    await workflows.add(row)
    audit = AuditService(PostgresAudit(database), Clock())
    webhooks = WebhookService(PostgresWebhooks(database), workflows, Vault([key]), audit)
    for is_signed in (True, False):
        await webhooks.create(ada, row.id, "shop", is_signed=is_signed)


async def signing_keys(database: Database, *keys: str) -> list[str]:
    async with database.connection() as connection:
        found = (await connection.execute(text("SELECT id, workspace_id, ciphertext FROM webhooks"))).all()
    vault = Vault(keys)
    return [
        vault.open(row.ciphertext, workspace_id=row.workspace_id, object_id=row.id) for row in found if row.ciphertext
    ]


async def values(database: Database, ada: Principal, *keys: str) -> Any:
    secrets, connections = services(database, *keys)
    (home,) = ada.roles
    opened = await secrets.values(home, [f"KEY_{number}" for number in range(SECRETS)])
    return opened, (await connections.credential(home, "peer")).headers


def ignore(_kind: SealedKind, _so_far: Rotated) -> None:
    pass


async def test_behind_a_rotation_the_new_key_alone_opens_everything(database: Database) -> None:
    ada = await fill(database, OLD)
    before, signing = await values(database, ada, OLD), await signing_keys(database, OLD)
    with pytest.raises(SecretUnreadable):
        await values(database, ada, NEW)
    heard: list[tuple[SealedKind, int]] = []
    done = await rotation(database, NEW, OLD).run(lambda kind, so_far: heard.append((kind, so_far.resealed)))
    assert done == Rotated(SECRETS + 2, 0)
    assert heard == [
        (SealedKind.SECRETS, 3),
        (SealedKind.SECRETS, 6),
        (SealedKind.SECRETS, 7),
        (SealedKind.CONNECTIONS, 1),
        (SealedKind.WEBHOOKS, 1),
    ]
    assert await values(database, ada, NEW) == before
    assert await signing_keys(database, NEW) == signing
    assert len(signing) == 1
    with pytest.raises(SecretUnreadable):
        await values(database, ada, OLD)


async def test_a_rotation_that_was_stopped_goes_on_where_it_was(database: Database) -> None:
    ada = await fill(database, OLD)

    def stop(_kind: SealedKind, _so_far: Rotated) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await rotation(database, NEW, OLD).run(stop)
    assert (await rotation(database, NEW, OLD).tally())[0] == Tally(SealedKind.SECRETS, SECRETS, SECRETS - 3)
    assert await rotation(database, NEW, OLD).run(ignore) == Rotated(SECRETS - 3 + 2, 0)
    assert len((await values(database, ada, NEW))[0]) == SECRETS


async def test_what_no_key_opens_is_counted_and_stays_as_it_is(database: Database) -> None:
    await fill(database, FOREIGN)
    async with database.connection() as connection:
        before = (await connection.execute(text("SELECT ciphertext FROM secrets ORDER BY id"))).scalars().all()
    assert await rotation(database, NEW, OLD).run(ignore) == Rotated(0, SECRETS + 2)
    async with database.connection() as connection:
        after = (await connection.execute(text("SELECT ciphertext FROM secrets ORDER BY id"))).scalars().all()
    assert after == before


def told(database_url: str, monkeypatch: pytest.MonkeyPatch, keys: str) -> None:
    monkeypatch.setenv("ANABRANCH_DATABASE_URL", database_url)
    monkeypatch.setenv("ANABRANCH_ENCRYPTION_KEYS", keys)


@pytest.mark.parametrize("sealed_with", [OLD, FOREIGN])
def test_the_command_says_when_the_old_key_may_go(
    anabranch: Command, database_url: str, monkeypatch: pytest.MonkeyPatch, sealed_with: str
) -> None:
    async def prepare() -> None:
        async with open_database(database_url, pool_size=2) as database:
            await fill(database, sealed_with)

    asyncio.run(prepare())
    told(database_url, monkeypatch, f"{NEW},{OLD}")
    status, out, _ = anabranch("keys", "rotate", "--dry-run")
    assert status == 0
    assert "secrets: 7 of 7 are sealed with another key." in out
    assert "Nothing was changed." in out
    status, out, _ = anabranch("keys", "rotate")
    if sealed_with == FOREIGN:
        assert status == 1
        assert "9 cannot be opened with any of the keys" in out
        assert "Keep the older keys" in out
        return
    assert status == 0
    assert "secrets: 7 of 7 …" in out
    assert "webhooks: 1 of 1 …" in out
    assert "9 sealed anew." in out
    assert "the other keys may be removed" in out
    status, out, _ = anabranch("keys", "rotate", "--dry-run")
    assert "secrets: 0 of 7" in out
    assert "the other keys may be removed" in out
