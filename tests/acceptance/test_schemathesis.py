"""Schemathesis in GraphQL mode, as an OWNER and as a VIEWER, on a tenant that has an object of every kind.

`ANABRANCH_TEST_FUZZ_S` says for how many seconds; 120 if absent, 600 before something is released.
"""

from __future__ import annotations

import asyncio
import json
import os
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from graphql import build_schema
from sqlalchemy.engine import make_url

from domain.ids import Prefix, from_global
from gql.schema import schema_text
from tests.support.identity import ENCRYPTION_KEY, PASSWORD, TOKEN_KEY
from tests.support.local_embedder import embedding_settings
from tests.support.real_values import Pool
from tests.support.schema_fuzz import Fuzzer, Told, register_scalars
from tests.support.seeded import EMAIL, seed
from tests.support.server_process import server_process
from tests.support.services import open_test_services

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.seeded import Seeded

SECONDS = float(os.environ.get("ANABRANCH_TEST_FUZZ_S", "120"))
VIEWER = "viewer@example.com"
pytestmark = [pytest.mark.long, pytest.mark.timeout(SECONDS * 2 + 300)]


async def with_viewer(database_url: str, data_dir: Path) -> Seeded:
    """Seed a tenant, and make somebody who may only look."""
    async with open_test_services(database_url, data_dir) as services:
        seeded = await seed(services)
        viewer = (await services.identity.sign_up(VIEWER, PASSWORD, "Viewer", None, address="")).principal
    plain = make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)
    connection: Any = await asyncpg.connect(plain)
    try:
        workspace = from_global(Prefix.WORKSPACE, seeded.ids[Prefix.WORKSPACE][0])
        await connection.execute(
            "UPDATE members SET workspace_id = $1, role = 'VIEWER' WHERE user_id = $2", workspace, viewer.user.id
        )
    finally:
        await connection.close()
    return seeded


def environment(database_url: str) -> dict[str, str]:
    embedding = embedding_settings()
    return {
        "ANABRANCH_DATABASE_URL": database_url,
        "ANABRANCH_TOKEN_KEYS": json.dumps([TOKEN_KEY]),
        "ANABRANCH_ENCRYPTION_KEYS": json.dumps([ENCRYPTION_KEY]),
        "ANABRANCH_EMBEDDING__MODEL": str(embedding.model),
        "ANABRANCH_EMBEDDING__MODEL_PATH": str(embedding.model_path),
    }


def report(who: str, told: Told) -> None:
    never = sorted(told.sent.keys() - told.answered.keys())
    print(  # noqa: T201 -- figures
        f"{who}: {told.sent.total()} documents, {told.share():.0%} of {len(told.sent)} root fields answered,"
        f" {len(told.done)} mutations done; never: {never}; {dict(told.codes)}"
    )


async def test_whatever_is_asked_no_answer_is_a_fault_of_ours(database_url: str, data_dir: Path) -> None:
    seeded = await with_viewer(database_url, data_dir)
    register_scalars()
    schema = build_schema(await asyncio.to_thread(schema_text))
    pool = Pool(schema, seeded.ids, seeded.ids[Prefix.WORKSPACE][0])
    async with server_process(data_dir, environment(database_url)) as server:
        told: dict[str, Told] = {}
        for email in (VIEWER, EMAIL):
            fuzzer = Fuzzer(f"{server.url}/graphql", email, PASSWORD, pool)
            told[email] = await asyncio.to_thread(fuzzer.run, SECONDS / 2)
            report(email, told[email])
        assert server.process is not None
        assert server.process.poll() is None
    assert [fault for one in told.values() for fault in one.faults] == []
    assert told[EMAIL].share() >= 0.9
    assert told[VIEWER].share() >= 0.9
    assert len(told[EMAIL].done) > len(told[VIEWER].done)
