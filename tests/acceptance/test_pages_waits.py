"""The pages of runs that wait for people, for time and for other runs."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any, Literal

import pytest
from playwright.async_api import expect

from tests.acceptance.test_pages_looks import look
from tests.acceptance.test_pages_run import STORY_GRAPH, WORDS, choose, signed_in, status
from tests.support.browser import browsing
from tests.support.openai_endpoint import answer
from tests.support.pages import calling_as, computing, server_with_model, sign_up

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.async_api import Locator, Page, Route

    from tests.support.server_process import Caller

pytestmark = [pytest.mark.long, pytest.mark.timeout(180)]

FORM = {
    "type": "object",
    "required": ["note", "stars"],
    "properties": {
        "note": {"type": "string", "minLength": 3, "title": "Note to the author"},
        "stars": {"type": "integer", "minimum": 1, "maximum": 5},
        "isUrgent": {"type": "boolean", "title": "Publish at once"},
    },
}


def asking(key: str = "ask", **config: object) -> dict[str, Any]:
    """Return a node that asks a person."""
    return {"key": key, "config": {"approval": {"title": "Is it good enough?", **config}}}


ASKING = {
    "nodes": [
        asking(message="The answer was **42**.\n\n- short\n- true", form=FORM, actions=["approve", "reject"]),
        computing("publish", "{{ nodes.ask.output.values.note }}"),
        computing("drop", "dropped"),
    ],
    "edges": [
        {"source": "ask", "sourcePort": "approve", "target": "publish"},
        {"source": "ask", "sourcePort": "reject", "target": "drop"},
    ],
}
QUESTION = "query($id: ID!) { run(id: $id) { approvals { nodes { id status action values } } } }"
ANSWER = """
mutation($input: AnswerApprovalInput!) {
  answerApproval(input: $input) { approval { status } userErrors { message } }
}
"""


async def asked(caller: Caller, graph: dict[str, Any] = ASKING, name: str = "Review") -> tuple[str, str]:
    """Start a run, and return its id and that of its question once it has asked."""
    run_id = await caller.start(await caller.create(name=name, graph=graph))
    async with asyncio.timeout(20):
        while True:
            found = (await caller.ask(QUESTION, id=run_id))["run"]["approvals"]["nodes"]
            if found:
                return run_id, found[0]["id"]
            await asyncio.sleep(0.02)  # the question is a row before anybody hears of it


def question(page: Page, title: str = "Is it good enough?") -> Locator:
    """Return what shows a question."""
    return page.get_by_role("article", name=f"Question: {title}")


async def test_a_question_is_found_on_the_home_page_and_answered_with_its_form(tmp_path: Path) -> None:
    async with signed_in(tmp_path) as (window, server, _, caller):
        page = window.page
        inbox = page.get_by_role("region", name="Waiting for an answer")
        await expect(inbox).to_contain_text("No run asks anything now.")
        run_id, _ = await asked(caller)
        await inbox.get_by_role("link", name="Is it good enough?").click()
        await expect(page).to_have_url(f"{server.url}/runs/{run_id}#node=ask")
        await expect(page.get_by_role("region", name="Node ask")).to_be_visible()
        await expect(status(page, "WAITING")).to_be_visible()
        card = question(page)
        await expect(card.locator("strong")).to_have_text("42")
        await expect(card).to_contain_text("left")

        await card.get_by_label("Note to the author").fill("no")
        await card.get_by_role("button", name="approve").click()
        await expect(card).to_contain_text("At least 3 characters; these are 2.")
        await expect(card).to_contain_text("This is required.")
        answered = (await caller.ask(QUESTION, id=run_id))["run"]["approvals"]["nodes"][0]
        assert answered["status"] == "OPEN"

        await card.get_by_label("Note to the author").fill("well done")
        await card.get_by_label("Stars").fill("5")
        await card.get_by_label("Stars").press("Enter")
        await expect(status(page, "WAITING")).to_be_visible()
        await card.get_by_role("button", name="approve").click()
        await expect(status(page, "SUCCEEDED")).to_be_visible()
        await expect(card).to_contain_text(re.compile("answered approve"))
        await expect(card.get_by_role("region", name="Values")).to_contain_text("well done")
        answered = (await caller.ask(QUESTION, id=run_id))["run"]["approvals"]["nodes"][0]
        assert (answered["action"], answered["values"]["stars"]) == ("approve", 5)
        await choose(page, "publish")
        await expect(page.get_by_role("region", name="Output")).to_contain_text("well done")
        await expect(page.locator("[data-key=drop] [data-status]")).to_have_attribute("data-status", "SKIPPED")

        await page.get_by_role("link", name="Anabranch, home").click()
        await expect(inbox).to_contain_text("No run asks anything now.")
        assert window.complaints == []


async def test_the_second_answer_is_told_who_was_first_and_the_page_is_as_it_is(tmp_path: Path) -> None:
    async with signed_in(tmp_path) as (window, server, _, caller):
        page, was_first = window.page, asyncio.Event()
        run_id, approval_id = await asked(caller, {**ASKING, "nodes": [asking(), *ASKING["nodes"][1:]]})

        async def hold(route: Route) -> None:
            if "answerApproval" in (route.request.post_data or ""):
                await was_first.wait()
            await route.continue_()

        await page.route("**/graphql", hold)
        await page.goto(f"{server.url}/runs/{run_id}")
        # Nothing is chosen: the run as a whole shows the one question that it asks.
        card = question(page)
        await card.get_by_role("button", name="approve").click()
        done = await caller.ask(ANSWER, input={"approvalId": approval_id, "action": "reject"})
        assert done["answerApproval"]["userErrors"] == []
        was_first.set()
        await expect(card.get_by_role("alert")).to_contain_text("was first")
        await expect(card.get_by_role("alert")).to_contain_text("answered already, with 'reject'")
        await expect(card.get_by_role("alert")).to_contain_text("Your answer “approve” was not taken.")
        await expect(card).to_contain_text("answered reject")
        await expect(card.get_by_role("button", name="approve")).to_have_count(0)
        await expect(page.locator("[data-key=drop] [data-status]")).to_have_attribute("data-status", "SUCCEEDED")
        await expect(page.locator("[data-key=publish] [data-status]")).to_have_attribute("data-status", "SKIPPED")


async def test_a_run_and_the_run_that_it_called_lead_to_each_other(tmp_path: Path) -> None:
    async with signed_in(tmp_path) as (window, server, _, caller):
        page = window.page
        await caller.create(name="Review", slug="review", graph={"nodes": [asking()], "edges": []})
        called = {"key": "call", "name": "Let it review", "config": {"subworkflow": {"workflow": "review"}}}
        called["config"]["subworkflow"]["version"] = {"track": "DRAFT"}  # type: ignore[index]
        graph = {
            "nodes": [called, computing("after", "{{ nodes.call.output }}")],
            "edges": [{"source": "call", "target": "after"}],
        }
        run_id = await caller.start(await caller.create(name="Publish", graph=graph))
        await page.goto(f"{server.url}/runs/{run_id}")
        await page.locator("[data-key=call]").click()
        panel = page.get_by_role("region", name="Node Let it review")
        await expect(panel).to_contain_text("It waits for the run that it called")
        await panel.get_by_role("link", name="Review").click()

        await expect(page).to_have_url(re.compile(r"/runs/run_"))
        assert not page.url.endswith(run_id)
        await question(page).get_by_role("button", name="approve").click()
        await expect(status(page, "SUCCEEDED")).to_be_visible()
        await page.get_by_role("link", name="Publish, node “call”").click()

        await expect(page).to_have_url(f"{server.url}/runs/{run_id}#node=call")
        await expect(panel).to_be_visible()
        await expect(status(page, "SUCCEEDED")).to_be_visible()
        await page.get_by_role("button", name="Back to the run").click()
        await page.get_by_role("tab", name="Sub-runs").click()
        listed = page.get_by_role("list", name="Runs that it called").get_by_role("listitem")
        await expect(listed).to_have_count(1)
        await expect(listed).to_contain_text("Succeeded")
        await expect(listed).to_contain_text("by “Let it review”")
        assert window.complaints == []


async def test_a_wait_says_until_when(tmp_path: Path) -> None:
    async with signed_in(tmp_path) as (window, server, _, caller):
        page = window.page
        graph = {
            "nodes": [{"key": "pause", "config": {"wait": {"durationMs": 7_200_000}}}],
            "edges": [],
        }
        run_id = await caller.start(await caller.create(name="Slow", graph=graph))
        await page.goto(f"{server.url}/runs/{run_id}")
        await expect(status(page, "WAITING")).to_be_visible()
        await expect(page.locator("[data-key=pause]")).to_contain_text(re.compile(r"[12] h \d+ min"))
        await page.locator("[data-key=pause]").click()
        panel = page.get_by_role("region", name="Node pause")
        await expect(panel).to_contain_text(re.compile(r"It waits until .*\(in (2 h 0 min|1 h 59 min)\)\."))
        await expect(page.locator(".run-head")).to_contain_text("goes on by itself at")
        await page.reload()
        await expect(panel).to_contain_text("It waits until")


async def test_a_run_is_paused_and_resumed_and_who_did_is_told(tmp_path: Path) -> None:
    async with signed_in(tmp_path) as (window, server, model, caller):
        page, writes_on = window.page, asyncio.Event()
        model.script(answer(*WORDS[:2], writes_on, *WORDS[2:]))
        run_id = await caller.start(await caller.create(name="Story", graph=STORY_GRAPH))
        await page.goto(f"{server.url}/runs/{run_id}")
        await expect(page.locator("[data-key=story] .step-text")).to_contain_text("river")
        await page.get_by_role("button", name="Pause", exact=True).click()
        await expect(status(page, "PAUSED")).to_be_visible()
        await expect(page.locator(".run-head")).to_contain_text("nothing new starts; paused by")
        writes_on.set()
        await expect(page.locator("[data-key=story] [data-status]")).to_have_attribute("data-status", "SUCCEEDED")
        await page.reload()
        await expect(status(page, "PAUSED")).to_be_visible()
        await expect(page.locator("[data-key=after] [data-status]")).to_have_attribute("data-status", "PENDING")
        await page.get_by_role("button", name="Resume", exact=True).click()
        await expect(status(page, "SUCCEEDED")).to_be_visible()
        await expect(page.get_by_role("button", name=re.compile("Pause|Resume"))).to_have_count(0)
        assert window.complaints == []


async def crashed_in(route: Route) -> None:
    """Let a run look as if its processes had died too often."""
    response = await route.fetch()
    body = await response.text()
    if "snapshot" not in body:
        await route.fulfill(response=response)
        return
    error = (
        '"error":{"code":"TOO_MANY_RECOVERIES","message":"It was taken over 10 times; the last process died too.",'
        '"nodeKey":null,"itemIndex":null,"attempt":null,"isRetryable":false,"__typename":"RunError"}'
    )
    crashed = body.replace('"status":"CANCELED","isFinished"', '"status":"CRASHED","isFinished"')
    crashed = re.sub(r'("snapshot":\{"cursor":"[^"]*","status":)"CANCELED"', r'\1"CRASHED"', crashed)
    await route.fulfill(response=response, body=crashed.replace('"error":null', error, 1))


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_what_waits_is_pictured_and_accessible(theme: Literal["light", "dark"], tmp_path: Path) -> None:
    found: list[str] = []
    async with server_with_model(tmp_path) as (server, _), browsing(theme) as window:
        page = window.page
        await sign_up(page, server.url)
        async with calling_as(page, server.url) as caller:
            run_id, approval_id = await asked(caller)
            other = asking(assignees=["bob@example.com"], title="Shall the release go out to everybody?")
            await asked(caller, {"nodes": [other], "edges": []}, "Release")
            slow = {"nodes": [{"key": "pause", "config": {"wait": {"durationMs": 7_200_000}}}], "edges": []}
            waiting = await caller.start(await caller.create(name="Slow", graph=slow))
            calling = {"key": "call", "name": "Let it review"}
            calling["config"] = {"subworkflow": {"workflow": "review", "version": {"track": "DRAFT"}}}  # type: ignore[assignment]
            parent = await caller.start(await caller.create(name="Publish", graph={"nodes": [calling], "edges": []}))
            await page.goto(server.url)
            await expect(page.get_by_role("region", name="Waiting for an answer").get_by_role("link")).to_have_count(3)
            await look(page, f"home-questions-{theme}", found)
            await page.goto(f"{server.url}/runs/{run_id}")
            await question(page).get_by_label("Note to the author").fill("no")
            await question(page).get_by_role("button", name="approve").click()
            await look(page, f"question-{theme}", found)
            given = {"approvalId": approval_id, "action": "reject", "values": {"note": "Say why.", "stars": 2}}
            await caller.ask(ANSWER, input=given)
            await page.locator("[data-key=ask]").click()
            await expect(question(page)).to_contain_text("answered reject")
            await look(page, f"question-answered-{theme}", found)
            await page.goto(f"{server.url}/runs/{waiting}#node=pause")
            await expect(status(page, "WAITING")).to_be_visible()
            await look(page, f"waiting-{theme}", found)
            await page.get_by_role("button", name="Pause", exact=True).click()
            await expect(status(page, "PAUSED")).to_be_visible()
            await look(page, f"paused-{theme}", found)
            await page.get_by_role("button", name="Cancel", exact=True).click()
            await expect(status(page, "CANCELED")).to_be_visible()
            await page.route("**/graphql", crashed_in)
            await page.goto(f"{server.url}/runs/{waiting}")
            await expect(status(page, "CRASHED")).to_be_visible()
            await look(page, f"crashed-{theme}", found)
            await page.unroute("**/graphql")
            await page.goto(f"{server.url}/runs/{parent}")
            await page.get_by_role("tab", name="Sub-runs").click()
            await expect(page.get_by_role("list", name="Runs that it called").get_by_role("link")).to_have_count(1)
            await look(page, f"sub-runs-{theme}", found)
            await page.get_by_role("list", name="Runs that it called").get_by_role("link").click()
            await expect(page.locator(".run-head")).to_contain_text("called by Publish, node “call”")
            await look(page, f"sub-run-{theme}", found)
    assert found == []
