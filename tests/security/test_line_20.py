"""Line 20 of docs/design/security.md: webhooks."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

import aiohttp

from domain import signatures
from tests.support.hooks import MAKE, post, signed
from tests.support.server_process import Caller
from tests.support.services import settings_on
from tests.support.whole_server import serving_anabranch

if TYPE_CHECKING:
    from pathlib import Path

GRAPH: dict[str, Any] = {"nodes": [{"key": "one", "config": {"transform": {"fields": []}}}], "edges": []}
PUBLISH = "mutation($id: ID!) { publishWorkflow(input: { id: $id, expectedRevision: 1 }) { userErrors { code } } }"
RUNS = "{ runs(filter: { triggers: [WEBHOOK] }) { totalCount nodes { id } } }"
BODY = b'{"order": 7}'


async def test_line_20_a_webhook_takes_what_its_key_signed_just_now_and_a_replay_starts_nothing(
    database_url: str, data_dir: Path
) -> None:
    assert "hmac.compare_digest" in inspect.getsource(signatures.verify)
    settings = settings_on(database_url, data_dir)
    # Two servers with one database: what one has taken, the other has too.
    async with (
        serving_anabranch(settings) as url,
        serving_anabranch(settings.model_copy(update={"data_dir": data_dir / "other"})) as other,
        aiohttp.ClientSession() as session,
    ):
        caller = Caller(url, session)
        await caller.sign_up()
        workflow_id = await caller.create(name="Called", graph=GRAPH)
        await caller.ask(PUBLISH, id=workflow_id)
        made = (await caller.ask(MAKE, i={"workflowId": workflow_id, "name": "shop", "isSigned": True}))[
            "createWebhook"
        ]
        hook, key = made["url"], made["signingKey"]
        right = signed(key, "msg_1", BODY)
        refused: list[tuple[bytes, dict[str, str]]] = [
            (BODY, {}),
            (BODY, {**right, "webhook-signature": "v1,AAAA"}),
            (b'{"order": 8}', right),
            (BODY, {**right, "webhook-id": "msg_2"}),
            (BODY, {**right, "webhook-timestamp": str(int(right["webhook-timestamp"]) + 1)}),
            (BODY, signed(key, "msg_1", BODY, at=int(right["webhook-timestamp"]) - 400)),
            (BODY, signed(key, "msg_1", BODY, at=int(right["webhook-timestamp"]) + 400)),
        ]
        for body, headers in refused:
            assert (await post(session, hook, body, headers)).status == 401
        assert (await caller.ask(RUNS))["runs"]["totalCount"] == 0
        there = hook.replace(url, other)
        told = await asyncio.gather(*(post(session, place, BODY, right) for place in [hook, there] * 5))
        assert sorted({one.status for one in told}) == [200, 202]
        assert [one.status for one in told].count(202) == 1
        again = await post(session, there, BODY, right)
        retried = await post(session, hook, BODY, signed(key, "msg_1", BODY))
        runs = (await caller.ask(RUNS))["runs"]
        assert runs["totalCount"] == 1
        assert {one.body["runId"] for one in (*told, again, retried)} == {runs["nodes"][0]["id"]}
        assert (await post(session, hook, b"{}", signed(key, "msg_1", b"{}"))).codes == ["CONFLICT"]
        assert (await caller.ask(RUNS))["runs"]["totalCount"] == 1
