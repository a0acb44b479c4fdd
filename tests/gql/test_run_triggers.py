"""Which API key a run was started with."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from domain.identity import Role, Scope
from tests.gql.test_run_removal import STEP, one_of, ran
from tests.gql.test_sub_runs import calls, created
from tests.support.identity import make_principal
from tests.support.query_count import counting

if TYPE_CHECKING:
    from domain.api_keys import ApiKey
    from domain.identity import Principal
    from persistence.database import Database
    from tests.support.api import Api

TRIGGER = "trigger {kind user {name} apiKey {name prefix revokedAt}}"
SHOWN = f"query ($id: ID!) {{run(id: $id) {{{TRIGGER} subRuns {{nodes {{{TRIGGER}}}}}}}}}"
LISTED = "{runs(first: 50) {nodes {id trigger {apiKey {name}}}}}"
RERUN = f"mutation ($id: ID!) {{rerunRun(input: {{runId: $id, from: START}}) {{run {{id {TRIGGER}}} userErrors {{message}}}}}}"
TRY = f"""mutation ($id: ID!) {{tryNode(input: {{workflowId: $id, nodeKey: "a"}}) {{
  run {{id {TRIGGER}}} userErrors {{message}}
}}}}"""


async def program_of(api: Api, by: Principal, name: str) -> tuple[Principal, ApiKey]:
    """Make a key; return who comes with it."""
    key, token = await api.services.api_keys.create(by, None, name, [Scope.READ, Scope.EXECUTE])
    return await api.services.api_keys.authenticate(token), key


async def shown(api: Api, by: Principal, run: str) -> Any:
    answer = await api.run(SHOWN, {"id": run}, caller=by)
    assert answer.errors == []
    return answer.data["run"]


async def test_every_start_with_a_key_tells_which_one_it_was(api: Api, ada: Principal) -> None:
    program, key = await program_of(api, ada, "nightly")
    leaf = await created(api, ada, "leaf", STEP)
    root = await ran(api, program, await created(api, ada, "root", calls("leaf")))
    told = {"user": {"name": "ada"}, "apiKey": {"name": "nightly", "prefix": key.prefix, "revokedAt": None}}
    run = await shown(api, ada, root)
    assert run["trigger"] == {"kind": "API_KEY", **told}
    assert one_of(run["subRuns"]["nodes"])["trigger"] == {"kind": "SUBWORKFLOW", **told}
    again = (await api.run(RERUN, {"id": root}, caller=program)).data["rerunRun"]
    assert again["run"]["trigger"] == {"kind": "RERUN", **told}
    assert (await shown(api, ada, again["run"]["id"]))["trigger"] == again["run"]["trigger"]
    await ran(api, ada, leaf)
    tried = (await api.run(TRY, {"id": leaf}, caller=program)).data["tryNode"]
    assert (await shown(api, ada, tried["run"]["id"]))["trigger"] == {"kind": "TRY_NODE", **told}


async def test_a_run_that_a_person_starts_has_no_key(api: Api, ada: Principal) -> None:
    program, _ = await program_of(api, ada, "nightly")
    run = await ran(api, program, await created(api, ada, "flow", STEP))
    again = (await api.run(RERUN, {"id": run}, caller=ada)).data["rerunRun"]["run"]
    assert again["trigger"] == {"kind": "RERUN", "user": {"name": "ada"}, "apiKey": None}


async def test_a_key_that_was_revoked_is_still_told_and_one_that_is_gone_is_null(
    api: Api, ada: Principal, database: Database
) -> None:
    program, key = await program_of(api, ada, "nightly")
    run = await ran(api, program, await created(api, ada, "flow", STEP))
    await api.services.api_keys.revoke(ada, key.id)
    assert (await shown(api, ada, run))["trigger"]["apiKey"]["revokedAt"] is not None
    async with database.connection() as connection:
        await connection.execute(text("DELETE FROM api_keys"))
    assert (await shown(api, ada, run))["trigger"] == {"kind": "API_KEY", "user": {"name": "ada"}, "apiKey": None}


async def test_who_sees_the_run_sees_the_key_and_nobody_else_does(api: Api, ada: Principal, database: Database) -> None:
    program, key = await program_of(api, ada, "nightly")
    run = await ran(api, program, await created(api, ada, "flow", STEP))
    eve = await make_principal(database, "eve")
    watcher = replace(eve, roles=dict.fromkeys(ada.roles, Role.VIEWER))
    assert (await shown(api, watcher, run))["trigger"]["apiKey"]["prefix"] == key.prefix
    assert await shown(api, eve, run) is None


async def test_the_keys_of_many_runs_are_read_in_one_statement(api: Api, ada: Principal) -> None:
    workflow, counts = await created(api, ada, "flow", STEP), list[int]()
    for count in (1, 4):
        for number in range(count):
            program, _ = await program_of(api, ada, f"k{count}{number}")
            await ran(api, program, workflow)
        with counting() as statements:
            answer = await api.run(LISTED, caller=ada)
        assert None not in [run["trigger"]["apiKey"] for run in answer.data["runs"]["nodes"]]
        counts.append(statements.count)
    assert counts[0] == counts[1]
