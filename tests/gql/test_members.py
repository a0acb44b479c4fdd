from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from sqlalchemy import text
from websockets.asyncio.client import connect

from domain.identity import Principal, Role
from domain.ids import Prefix, to_global
from gql.schema import build_schema
from runtime.settings import Settings
from tests.support.api import Api
from tests.support.graphql_socket import PROTOCOL, Socket
from tests.support.identity import Clock, dump_of, identity_services
from tests.support.people import accept, fresh, invite, invite_link, member_ids, role_of, sign_up, token_in
from tests.support.query_count import counting
from tests.support.server_process import Caller
from tests.support.services import settings_on
from tests.support.waiting import until
from tests.support.whole_server import serving_anabranch

if TYPE_CHECKING:
    from pathlib import Path

    from persistence.database import Database

SCHEMA = build_schema(Settings(_env_file=None))  # pyright: ignore[reportCallIssue]

MEMBERS = """
query ($ws: ID!) { workspace(id: $ws) {
  members { totalCount nodes { id role joinedAt user { email } } }
  invitations { totalCount nodes { id email role invitedBy { email } expiresAt createdAt } }
} }
"""
SET_ROLE = """
mutation ($id: ID!, $role: Role!) { setMemberRole(input: { id: $id, role: $role }) {
  member { id role user { email } } userErrors { __typename code path }
} }
"""
REMOVE = "mutation ($id: ID!) { removeMember(input: { id: $id }) { removedMemberId userErrors { __typename code } } }"
REVOKE = "mutation ($id: ID!) { revokeInvitation(input: { id: $id }) { deletedInvitationId userErrors { code path } } }"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def api(database: Database, clock: Clock) -> Api:
    return Api(SCHEMA, identity_services(database, clock))


@pytest.fixture
async def ada(api: Api) -> Principal:
    return (await sign_up(api, "ada@example.com")).principal


async def workspace_of(api: Api, caller: Principal) -> dict[str, Any]:
    answer = await api.run(MEMBERS, {"ws": to_global(Prefix.WORKSPACE, next(iter(caller.roles)))}, caller=caller)
    assert answer.errors == []
    return answer.data["workspace"]


async def joined(api: Api, owner: Principal, email: str, role: Role) -> Principal:
    """Sign somebody up by an invitation of the owner."""
    return (await sign_up(api, email, await invite(api, owner, email, role))).principal


# ── coming in ──


async def test_whoever_is_invited_signs_up_and_belongs_to_that_workspace_alone(api: Api, ada: Principal) -> None:
    link = await invite_link(api, ada, "Bob@Example.com", Role.VIEWER)
    assert link["acceptUrl"].startswith("http://127.0.0.1:8000/#invite=")
    assert link["invitation"] == {"email": "bob@example.com", "role": "VIEWER", "expiresAt": "2026-11-29T12:00:00Z"}
    before = await workspace_of(api, ada)
    [open_one] = before["invitations"]["nodes"]
    assert (open_one["email"], open_one["invitedBy"]["email"]) == ("bob@example.com", "ada@example.com")
    bob = (await sign_up(api, "bob@example.com", token_in(link["acceptUrl"]))).principal
    assert bob.roles == {next(iter(ada.roles)): Role.VIEWER}
    after = await workspace_of(api, bob)
    people = [(one["user"]["email"], one["role"]) for one in after["members"]["nodes"]]
    assert people == [("ada@example.com", "OWNER"), ("bob@example.com", "VIEWER")]
    assert after["invitations"] == {"totalCount": 0, "nodes": []}


async def test_a_closed_server_lets_the_invited_in(database: Database, clock: Clock, ada: Principal) -> None:
    closed = Api(SCHEMA, identity_services(database, clock, is_sign_up_open=False))
    await joined(closed, ada, "bob@example.com", Role.EDITOR)
    with pytest.raises(AssertionError, match="FORBIDDEN"):
        await sign_up(closed, "eve@example.com")


async def test_whoever_has_an_account_joins_with_it_and_sees_the_workspace_at_once(api: Api, ada: Principal) -> None:
    bob = (await sign_up(api, "bob@example.com")).principal
    payload = await accept(api, bob, await invite(api, ada, "bob@example.com", Role.ADMIN))
    assert payload["userErrors"] == []
    assert payload["workspace"]["role"] == "ADMIN"
    assert payload["workspace"]["members"] == {"totalCount": 2}
    assert len((await fresh(api, bob)).roles) == 2


async def test_a_link_works_once(api: Api, ada: Principal) -> None:
    bob = (await sign_up(api, "bob@example.com")).principal
    token = await invite(api, ada, "bob@example.com", Role.VIEWER)
    assert (await accept(api, bob, token))["userErrors"] == []
    assert (await accept(api, bob, token))["userErrors"] == [{"code": "INVALID_TOKEN", "path": ["input", "token"]}]
    with pytest.raises(AssertionError, match="INVALID_TOKEN"):
        await sign_up(api, "bob@example.com", token)


async def test_of_two_who_use_a_link_at_once_one_joins(api: Api, ada: Principal) -> None:
    bob = (await sign_up(api, "bob@example.com")).principal
    token = await invite(api, ada, "bob@example.com", Role.VIEWER)
    payloads = await asyncio.gather(*(accept(api, bob, token) for _ in range(4)))
    codes = sorted(error["code"] for payload in payloads for error in payload["userErrors"])
    assert codes == ["INVALID_TOKEN"] * 3
    token = await invite(api, ada, "eve@example.com", Role.VIEWER)
    ends = await asyncio.gather(*(sign_up(api, "eve@example.com", token) for _ in range(3)), return_exceptions=True)
    assert sum(isinstance(end, AssertionError) for end in ends) == 2
    assert (await workspace_of(api, ada))["members"]["totalCount"] == 3


async def test_a_link_ends_after_a_week(api: Api, ada: Principal, clock: Clock) -> None:
    bob = (await sign_up(api, "bob@example.com")).principal
    tokens = [await invite(api, ada, email, Role.VIEWER) for email in ("bob@example.com", "eve@example.com")]
    clock.advance(days=7)
    assert (await accept(api, bob, tokens[0]))["userErrors"][0]["code"] == "INVALID_TOKEN"
    with pytest.raises(AssertionError, match="INVALID_TOKEN"):
        await sign_up(api, "eve@example.com", tokens[1])
    assert (await workspace_of(api, ada))["invitations"] == {"totalCount": 0, "nodes": []}


@pytest.mark.parametrize("expires_at", ["2026-11-22T12:00:00Z", "2028-01-01T00:00:00Z"])
async def test_a_link_that_never_works_or_hardly_ends_is_refused(api: Api, ada: Principal, expires_at: str) -> None:
    link = await invite_link(api, ada, "bob@example.com", Role.VIEWER, expires_at)
    assert link["userErrors"] == [{"code": "INVALID_INPUT", "path": ["input", "expiresAt"]}]
    assert link["acceptUrl"] is None


async def test_a_link_is_of_use_to_nobody_but_the_one_it_is_meant_for(api: Api, ada: Principal) -> None:
    eve = (await sign_up(api, "eve@example.com")).principal
    token = await invite(api, ada, "bob@example.com", Role.OWNER)
    assert (await accept(api, eve, token))["userErrors"] == [{"code": "INVALID_TOKEN", "path": ["input", "token"]}]
    with pytest.raises(AssertionError, match="email"):
        await sign_up(api, "mallory@example.com", token)
    await sign_up(api, "bob@example.com", token)


async def test_a_second_invitation_takes_the_place_of_the_first(api: Api, ada: Principal) -> None:
    tokens = [await invite(api, ada, "bob@example.com", role) for role in (Role.ADMIN, Role.VIEWER)]
    with pytest.raises(AssertionError, match="INVALID_TOKEN"):
        await sign_up(api, "bob@example.com", tokens[0])
    bob = (await sign_up(api, "bob@example.com", tokens[1])).principal
    assert list(bob.roles.values()) == [Role.VIEWER]
    again = await invite_link(api, ada, "bob@example.com", Role.ADMIN)
    assert again["userErrors"] == [{"code": "ALREADY_EXISTS", "path": ["input", "email"]}]


async def test_a_withdrawn_invitation_lets_nobody_in(api: Api, ada: Principal) -> None:
    token = await invite(api, ada, "bob@example.com", Role.VIEWER)
    [invited] = (await workspace_of(api, ada))["invitations"]["nodes"]
    answers = [(await api.run(REVOKE, {"id": invited["id"]}, caller=ada)).data["revokeInvitation"] for _ in range(2)]
    assert answers[0] == {"deletedInvitationId": invited["id"], "userErrors": []}
    assert answers[1]["userErrors"] == [{"code": "NOT_FOUND", "path": ["input", "id"]}]
    with pytest.raises(AssertionError, match="INVALID_TOKEN"):
        await sign_up(api, "bob@example.com", token)


async def test_what_a_link_ends_with_is_stored_nowhere(api: Api, ada: Principal, database: Database) -> None:
    token = await invite(api, ada, "bob@example.com", Role.VIEWER)
    assert len(token) >= 40
    assert token not in await dump_of(database)


@pytest.mark.parametrize("public_url", [None, "https://flows.example.com"])
async def test_a_link_leads_where_people_reach_the_server(
    database_url: str, tmp_path: Path, public_url: str | None
) -> None:
    settings = settings_on(database_url, tmp_path).model_copy(update={"public_url": public_url})
    invite_bob = 'mutation { inviteMember(input: { email: "bob@example.com" }) { acceptUrl } }'
    timeout = aiohttp.ClientTimeout(total=20)
    async with serving_anabranch(settings) as url, aiohttp.ClientSession(timeout=timeout) as http:
        caller = Caller(url, http)
        await caller.sign_up()
        link = (await caller.ask(invite_bob))["inviteMember"]["acceptUrl"]
        assert link.startswith(f"{public_url or url}/#invite=")
        address = f"{url.replace('http', 'ws')}/graphql"
        async with connect(address, subprotocols=[PROTOCOL]) as connection:
            socket = Socket(connection)
            await socket.init(Authorization=f"Bearer {caller.token}")
            await socket.subscribe("1", invite_bob)
            told = (await socket.receive())["payload"]["data"]["inviteMember"]
        assert told["acceptUrl"].startswith(f"{public_url or url}/#invite=")


# ── who may do what ──


@pytest.mark.parametrize("own", list(Role))
async def test_what_members_may_do_to_each_other_depends_on_their_roles(api: Api, ada: Principal, own: Role) -> None:
    """The rules are in tests/domain/test_members.py; here, that the API asks them of the roles that are stored."""
    me = await joined(api, ada, "me@example.com", own)
    may = {Role.OWNER: set(Role), Role.ADMIN: set(Role) - {Role.OWNER}}.get(own, set[Role]())
    for role in Role:
        link = await invite_link(api, me, f"new-{role.value}@example.com", role)
        assert (link["userErrors"] == []) is (role in may), role
        await joined(api, ada, f"{role.value}@example.com", role)
        member_id = (await member_ids(api, ada))[f"{role.value.lower()}@example.com"]
        for after in Role:
            payload = (await api.run(SET_ROLE, {"id": member_id, "role": after}, caller=me)).data["setMemberRole"]
            is_done = payload["userErrors"] == []
            assert is_done is ({role, after} <= may), (role, after)
            assert is_done or payload["userErrors"][0]["code"] == "FORBIDDEN"
            await api.run(SET_ROLE, {"id": member_id, "role": role}, caller=ada)
        removed = (await api.run(REMOVE, {"id": member_id}, caller=me)).data["removeMember"]
        assert (removed["removedMemberId"] == member_id) is (role in may), role
    own_id = (await member_ids(api, ada))["me@example.com"]
    assert (await api.run(REMOVE, {"id": own_id}, caller=me)).data["removeMember"]["userErrors"] == []
    assert (await fresh(api, me)).roles == {}


async def test_the_last_owner_can_neither_leave_nor_sink(api: Api, ada: Principal) -> None:
    await joined(api, ada, "bob@example.com", Role.ADMIN)
    own_id = (await member_ids(api, ada))["ada@example.com"]
    left = (await api.run(REMOVE, {"id": own_id}, caller=ada)).data["removeMember"]
    assert left["userErrors"] == [{"__typename": "ConflictError", "code": "CONFLICT"}]
    sunk = (await api.run(SET_ROLE, {"id": own_id, "role": "ADMIN"}, caller=ada)).data["setMemberRole"]
    assert sunk["userErrors"] == [{"__typename": "ConflictError", "code": "CONFLICT", "path": ["input", "id"]}]


@pytest.mark.parametrize("document", [REMOVE, SET_ROLE])
async def test_of_two_owners_who_go_at_once_one_stays(
    api: Api, ada: Principal, database: Database, document: str
) -> None:
    bob = await joined(api, ada, "bob@example.com", Role.OWNER)
    ids = await member_ids(api, ada)
    asked = [(ada, ids["ada@example.com"]), (bob, ids["bob@example.com"])]
    async with asyncio.TaskGroup() as group, database.connection() as connection:
        await connection.execute(text("SELECT 1 FROM workspaces FOR UPDATE"))
        going = [
            group.create_task(api.run(document, {"id": own_id, "role": "VIEWER"}, caller=caller))
            for caller, own_id in asked
        ]
        await until(lambda: _are_waiting(database, 2))
    payloads = [payload for answer in going for payload in answer.result().data.values()]
    assert sorted(len(payload["userErrors"]) for payload in payloads) == [0, 1]


async def _are_waiting(database: Database, count: int) -> bool:
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with database.single() as connection:
        return (await connection.execute(text(waiting))).scalar_one() == count


async def test_a_right_that_was_taken_is_gone_before_the_next_change(api: Api, ada: Principal) -> None:
    """The principal of a request, and of a socket for half a minute, is older than what is stored."""
    bob = await joined(api, ada, "bob@example.com", Role.ADMIN)
    await joined(api, ada, "eve@example.com", Role.VIEWER)
    ids = await member_ids(api, ada)
    await api.run(SET_ROLE, {"id": ids["bob@example.com"], "role": "EDITOR"}, caller=ada)
    removed = (await api.run(REMOVE, {"id": ids["eve@example.com"]}, caller=bob)).data["removeMember"]
    assert removed["userErrors"] == [{"__typename": "ForbiddenError", "code": "FORBIDDEN"}]
    link = await invite_link(api, bob, "mallory@example.com", Role.VIEWER)
    assert link["userErrors"] == [{"code": "FORBIDDEN", "path": None}]


@pytest.mark.parametrize("is_removed", [True, False])
async def test_nobody_comes_in_by_an_invitation_of_someone_who_could_not_make_it_now(
    api: Api, ada: Principal, is_removed: bool
) -> None:
    bob = await joined(api, ada, "bob@example.com", Role.OWNER)
    tokens = {role: await invite(api, bob, f"{role.value}@example.com", role) for role in (Role.OWNER, Role.VIEWER)}
    bobs_id = (await member_ids(api, ada))["bob@example.com"]
    document = REMOVE if is_removed else SET_ROLE
    await api.run(document, {"id": bobs_id, "role": "ADMIN"}, caller=ada)
    with pytest.raises(AssertionError, match="INVALID_TOKEN"):
        await sign_up(api, "owner@example.com", tokens[Role.OWNER])
    if is_removed:
        with pytest.raises(AssertionError, match="INVALID_TOKEN"):
            await sign_up(api, "viewer@example.com", tokens[Role.VIEWER])
    else:
        await sign_up(api, "viewer@example.com", tokens[Role.VIEWER])


async def test_whoever_was_removed_sees_nothing_any_more(api: Api, ada: Principal) -> None:
    bob = await joined(api, ada, "bob@example.com", Role.EDITOR)
    await api.run(REMOVE, {"id": (await member_ids(api, ada))["bob@example.com"]}, caller=ada)
    answer = await api.run(
        MEMBERS, {"ws": to_global(Prefix.WORKSPACE, next(iter(ada.roles)))}, caller=await fresh(api, bob)
    )
    assert answer.data == {"workspace": None}


# ── lists ──


async def test_members_are_paged_with_owners_first(api: Api, ada: Principal) -> None:
    for role in (Role.VIEWER, Role.ADMIN, Role.OWNER):
        await joined(api, ada, f"{role.value}@example.com", role)
    page = """query ($ws: ID!, $after: String) { workspace(id: $ws) { members(first: 3, after: $after) {
        nodes { user { email } } pageInfo { endCursor hasNextPage } } } }"""
    seen: list[str] = []
    after = None
    for _ in range(2):
        ids = {"ws": to_global(Prefix.WORKSPACE, next(iter(ada.roles))), "after": after}
        found = (await api.run(page, ids, caller=ada)).data["workspace"]["members"]
        seen += [one["user"]["email"].split("@")[0] for one in found["nodes"]]
        after = found["pageInfo"]["endCursor"]
    assert seen == ["ada", "owner", "admin", "viewer"]


async def test_members_of_many_workspaces_are_read_in_as_many_statements_as_of_one(
    api: Api, ada: Principal, database: Database
) -> None:
    document = """query ($first: Int) { viewer { workspaces(first: $first) { nodes {
        members { totalCount nodes { user { email } } } invitations { totalCount nodes { invitedBy { name } } } } } } }"""
    for number in range(4):
        caller = await fresh(api, ada)
        await api.run(
            f'mutation {{ createWorkspace(input: {{ name: "{number}" }}) {{ workspace {{ id }} }} }}', caller=caller
        )
    ada = await fresh(api, ada)
    for workspace_id in ada.roles:
        await api.services.people.invitations.invite(ada, workspace_id, "bob@example.com", Role.VIEWER, None)
    counts: list[int] = []
    for first in (1, 5):
        with counting(database) as statements:
            answer = await api.run(document, {"first": first}, caller=ada)
        assert [one["invitations"]["totalCount"] for one in answer.data["viewer"]["workspaces"]["nodes"]] == [1] * first
        counts.append(statements.count)
    assert counts[0] == counts[1] <= 7, statements


async def test_a_role_is_the_one_of_the_moment(api: Api, ada: Principal) -> None:
    bob = await joined(api, ada, "bob@example.com", Role.VIEWER)
    bobs_id = (await member_ids(api, ada))["bob@example.com"]
    changed = (await api.run(SET_ROLE, {"id": bobs_id, "role": "EDITOR"}, caller=ada)).data["setMemberRole"]
    assert changed["member"] == {"id": bobs_id, "role": "EDITOR", "user": {"email": "bob@example.com"}}
    assert role_of(await fresh(api, bob)) is Role.EDITOR
