"""`POST /hooks/{token}` on a socket."""

from __future__ import annotations

import asyncio
import io
import json
import subprocess
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import aiohttp
import pytest
from starlette.applications import Starlette

from domain.ids import Prefix, RunId, from_global
from domain.run import RunQuery, TriggerKind
from domain.signatures import SignedHeaders, verify
from gql import hooks
from runtime.identity import utc_now
from tests.support.hooks import Told, called_workflow, post, signed
from tests.support.identity import make_principal
from tests.support.services import open_test_services
from tests.support.serving import serving
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from domain.identity import Principal
    from domain.ids import WorkflowId
    from persistence.database import Database
    from runtime.services import Services
    from runtime.webhooks import MadeWebhook

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["order"],
    "properties": {"order": {"type": "object", "properties": {"count": {"type": "integer", "minimum": 1}}}},
}
LIMIT = 1_048_576
PAGE = Path(__file__).parents[2] / "docs" / "webhooks.md"


class Hooked(NamedTuple):
    """An endpoint, whose services, and somebody who owns a workspace there."""

    services: Services
    owner: Principal
    session: aiohttp.ClientSession
    url: str
    endpoint: hooks.HookEndpoint

    async def make(self, workflow_id: WorkflowId, *, is_signed: bool = False) -> tuple[str, MadeWebhook]:
        made = await self.services.webhooks.create(self.owner, workflow_id, "shop", is_signed=is_signed)
        return f"{self.url}/hooks/{made.token}", made

    async def address(self, **more: Any) -> str:
        """Make a workflow and a webhook that is not signed; gives its address."""
        return (await self.make(await called_workflow(self.services, self.owner, **more)))[0]

    async def post(self, url: str, body: object = None, **headers: str) -> Told:
        raw = body if isinstance(body, bytes) else json.dumps({} if body is None else body).encode()
        return await post(self.session, url, raw, {name.replace("_", "-"): text for name, text in headers.items()})

    async def total(self) -> int:
        return await self.services.runs.count(self.owner, None, RunQuery())


@asynccontextmanager
async def hooked(database: Database, data_dir: Path) -> AsyncGenerator[Hooked]:
    owner = await make_principal(database)
    async with open_test_services(database.url, data_dir) as services:
        endpoint = hooks.HookEndpoint(lambda: services, services.settings)
        async with serving(Starlette(routes=[endpoint.route()])) as url, aiohttp.ClientSession() as session:
            yield Hooked(services, owner, session, url, endpoint)


@pytest.fixture
async def served(database: Database, tmp_path: Path) -> AsyncGenerator[Hooked]:
    async with hooked(database, tmp_path) as one:
        yield one


async def test_a_call_starts_the_published_version_with_its_body_as_input(served: Hooked) -> None:
    workflow_id = await called_workflow(served.services, served.owner, input_schema=SCHEMA)
    url, made = await served.make(workflow_id)
    assert made.signing_key is None
    told = await served.post(url, {"order": {"count": 2}})
    assert (told.status, told.body) == (202, {"runId": told.body["runId"], "isExisting": False})
    run = await served.services.runs.get(served.owner, RunId(from_global(Prefix.RUN, told.body["runId"])))
    assert (run.workflow_id, run.version, run.triggered_by) == (workflow_id, 1, None)
    assert (run.trigger, run.webhook_id) == (TriggerKind.WEBHOOK, made.webhook.id)
    given, _ = (await served.services.runs.payloads([run.id]))[run.id]
    assert json.loads(given or b"") == {"order": {"count": 2}}
    called = (await served.services.webhooks.list_by_id(served.owner, [made.webhook.id]))[made.webhook.id]
    assert called.last_called_at == run.created_at.replace(second=0, microsecond=0)
    # Without a key each call is one of its own; with one, a second call gives the first one's run.
    assert (await served.post(url, {"order": {}})).body["runId"] != told.body["runId"]
    first = await served.post(url, {"order": {}}, Idempotency_Key="a")
    for name in ("Idempotency_Key", "webhook_id"):
        again = await served.post(url, {"order": {}}, **{name: "a"})
        assert (again.status, again.body) == (200, {"runId": first.body["runId"], "isExisting": True})
    assert (await served.post(url, {"order": {"count": 3}}, Idempotency_Key="a")).codes == ["CONFLICT"]
    assert (await served.post(url, {}, Idempotency_Key="a b")).codes == ["INVALID_INPUT"]


async def test_what_cannot_be_the_input_is_refused_with_its_place_and_starts_nothing(served: Hooked) -> None:
    url = await served.address(input_schema=SCHEMA)
    told = await served.post(url, {"order": {"count": 0}})
    assert (told.status, told.body) == (
        422,
        {
            "errors": [
                {
                    "code": "INVALID_INPUT",
                    "message": "The input does not satisfy the workflow's schema: order.count: it is less than the "
                    "minimum of 1.",
                    "path": ["order", "count"],
                }
            ]
        },
    )
    refused: list[tuple[bytes, dict[str, str], int]] = [
        (b"{", {}, 400),
        (b"\xff", {}, 400),
        (b'{"order": {"a": "\\u0000"}}', {}, 422),
        (b"order=1", {"Content-Type": "application/x-www-form-urlencoded"}, 415),
        (b"{}", {"Content-Encoding": "gzip"}, 415),
        (b"", {}, 422),  # nothing is {} here, since null does not satisfy the schema either
    ]
    for body, headers, status in refused:
        assert (await post(served.session, url, body, headers)).status == status, body
    async with served.session.get(url) as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, "POST")
    unpublished = await served.post(await served.address(is_published=False))
    assert (unpublished.status, unpublished.codes) == (409, ["CONFLICT"])
    assert unpublished.body["errors"][0]["message"].endswith("no published version yet; publish it first.")
    assert await served.total() == 0


async def test_nothing_is_no_input_and_any_json_is_one(served: Hooked) -> None:
    url = await served.address()
    for body, media in (
        (b"", ""),
        (b"[1]", "application/cloudevents+json"),
        (b'"a"', "application/json; charset=utf-8"),
    ):
        told = await post(served.session, url, body, {"Content-Type": media})
        run_id = RunId(from_global(Prefix.RUN, told.body["runId"]))
        given, _ = (await served.services.runs.payloads([run_id]))[run_id]
        assert given == (body or b"null")


async def test_a_body_that_is_too_large_is_refused_before_it_is_read(served: Hooked) -> None:
    url = await served.address()

    async def pieces() -> AsyncGenerator[bytes]:
        for _ in range(20):
            yield b"x" * 65_536

    told: list[tuple[int, str]] = []
    for data in (io.BytesIO(b'"' + b"x" * (LIMIT - 2) + b'"'), io.BytesIO(b'"' + b"x" * LIMIT + b'"'), pieces()):
        async with served.session.post(url, data=data, headers={"Content-Type": "application/json"}) as answer:
            body = await answer.json()
            told.append((answer.status, body["errors"][0]["code"] if "errors" in body else ""))
    assert told == [(202, ""), (413, "PAYLOAD_TOO_LARGE"), (413, "PAYLOAD_TOO_LARGE")]
    assert await served.total() == 1


async def test_an_unknown_address_a_rotated_and_a_deleted_one_are_answered_alike(served: Hooked) -> None:
    workflow_id = await called_workflow(served.services, served.owner)
    (old_url, old), (gone_url, gone) = [await served.make(workflow_id, is_signed=one) for one in (True, False)]
    new = await served.services.webhooks.rotate(served.owner, old.webhook.id)
    assert new.webhook.prefix != old.webhook.prefix
    assert old.signing_key is not None
    assert new.signing_key is not None
    assert (await served.post(gone_url)).status == 202
    await served.services.webhooks.delete(served.owner, gone.webhook.id)
    told = [
        await served.post(url, b"{}", **signed(old.signing_key, f"m{place}", b"{}"))
        for place, url in enumerate((f"{served.url}/hooks/wh_nobody", old_url, gone_url, f"{old_url}{'x' * 99}"))
    ]
    assert {one.status for one in told} == {404}
    assert all(one.body == told[0].body for one in told)
    url = f"{served.url}/hooks/{new.token}"
    assert (await served.post(url, b"{}", **signed(old.signing_key, "m", b"{}"))).codes == ["SIGNATURE_INVALID"]
    assert (await served.post(url, b"{}", **signed(new.signing_key, "m", b"{}"))).status == 202
    assert await served.total() == 2


async def test_a_signed_webhook_says_what_is_wrong_with_a_signature(served: Hooked) -> None:
    url, made = await served.make(await called_workflow(served.services, served.owner), is_signed=True)
    assert made.signing_key is not None
    missing = await served.post(url)
    assert (missing.status, missing.codes) == (401, ["SIGNATURE_MISSING"])
    assert missing.headers["WWW-Authenticate"] == "Webhook-Signature"
    late = await served.post(url, b"{}", **signed(made.signing_key, "m", b"{}", at=1_000_000))
    assert late.codes == ["TIMESTAMP_OUTSIDE_WINDOW"]
    # Of a body that nobody has signed nothing is told.
    assert (await served.post(url, b"{", webhook_id="m")).status == 401
    assert (await served.post(url, b"{", **signed(made.signing_key, "m", b"{"))).status == 400
    # An idempotency key, which is not signed, counts for nothing.
    told = [
        await served.post(url, b"{}", Idempotency_Key="k", **signed(made.signing_key, id_, b"{}")) for id_ in ("a", "b")
    ]
    assert [one.status for one in told] == [202, 202]


async def test_a_network_that_guesses_addresses_waits_and_whoever_knows_one_does_not(
    served: Hooked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gql.rates._PATIENCE", 3)
    monkeypatch.setattr("gql.rates._HOLD_S", (0.0, 0.0))
    url = await served.address()
    told = [await served.post(f"{served.url}/hooks/wh_{place}") for place in range(4)]
    assert [one.status for one in told] == [404, 404, 404, 429]
    assert told[3].codes == ["RATE_LIMITED"]
    assert int(told[3].headers["Retry-After"]) >= 1
    assert (await served.post(url)).status == 202


async def test_one_webhook_is_called_a_hundred_times_at_once_and_not_more(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.webhook_calls.BURST", 2.0)
    monkeypatch.setattr("runtime.webhook_calls.PER_S", 0.01)
    async with hooked(database, tmp_path) as served:
        url, other = await served.address(), await served.address()
        told = [await served.post(url) for _ in range(3)]
        assert [one.status for one in told] == [202, 202, 429]
        assert (told[2].codes, int(told[2].headers["Retry-After"]) > 1) == (["RATE_LIMITED"], True)
        assert (await served.post(other)).status == 202


@pytest.mark.parametrize("bound", ["MAX_AT_ONCE", "MAX_OF_WORKSPACE", "MAX_OF_ONE"])
async def test_calls_beyond_the_places_that_there_are_are_asked_to_come_again(
    served: Hooked, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    monkeypatch.setattr(hooks, bound, 1)
    url = await served.address()
    go_on = asyncio.Event()

    async def slowly() -> AsyncGenerator[bytes]:
        yield b"{"
        await go_on.wait()
        yield b"}"

    media = {"Content-Type": "application/json"}
    slow = asyncio.create_task(served.session.post(url, data=slowly(), headers=media), name="slow call")
    await until(lambda: served.endpoint._at_once.total() == 1)
    busy = await served.post(url)
    assert (busy.codes, busy.headers["Retry-After"]) == (["BUSY"], "2")
    others = await served.post(await served.address())
    assert others.status == (202 if bound == "MAX_OF_ONE" else 503)
    go_on.set()
    async with await slow as answer:
        assert answer.status == 202
    assert (await served.post(url)).status == 202
    assert not served.endpoint._of_workspace


async def test_a_body_that_takes_long_is_not_waited_for_and_what_is_published_behind_it_is_started(
    served: Hooked, monkeypatch: pytest.MonkeyPatch
) -> None:
    workflow_id = await called_workflow(served.services, served.owner, is_published=False)
    url, _ = await served.make(workflow_id)
    go_on = asyncio.Event()

    async def slowly() -> AsyncGenerator[bytes]:
        yield b"{"
        await go_on.wait()
        yield b"}"

    media = {"Content-Type": "application/json"}
    slow = asyncio.create_task(served.session.post(url, data=slowly(), headers=media), name="slow call")
    await until(lambda: served.endpoint._at_once.total() == 1)
    workflow = await served.services.workflows.get(served.owner, workflow_id)
    await served.services.versions.publish(served.owner, workflow_id, workflow.revision, None)
    go_on.set()
    async with await slow as answer:
        assert answer.status == 202
    monkeypatch.setattr(hooks, "_BODY_TIMEOUT_S", 0.05)
    go_on.clear()
    async with served.session.post(url, data=slowly(), headers=media) as answer:
        assert answer.status == 408


async def test_a_fault_of_ours_is_masked_with_an_id_that_is_in_the_log(
    served: Hooked, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    url = await served.address()
    monkeypatch.setattr(served.services.webhook_caller, "_calls", None)
    told = await served.post(url)
    [error] = told.body["errors"]
    assert (told.status, error["code"], error["message"]) == (500, "INTERNAL_SERVER_ERROR", "Internal error.")
    assert error["errorId"] in caplog.text
    assert url.rpartition("/")[2] not in caplog.text


async def test_the_example_of_the_documentation_signs_with_openssl_what_is_taken(tmp_path: Path) -> None:
    script = PAGE.read_text(encoding="utf-8").split("```sh\n")[1].split("```")[0].replace("curl ", "printf '%s\\n' ")
    key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    environment = {"PATH": "/usr/bin:/bin", "WEBHOOK_URL": "https://a.example/hooks/wh_x", "WEBHOOK_KEY": key}
    done = await asyncio.to_thread(
        subprocess.run, ["sh", "-ec", script], env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    said = dict(line.split(": ", 1) for line in lines if line.startswith("webhook-"))
    body = next(line for line in lines if line.startswith("{"))
    headers = SignedHeaders(*(said[f"webhook-{name}"] for name in ("id", "timestamp", "signature")))
    assert verify(key, headers, body.encode(), utc_now()) == headers.id
