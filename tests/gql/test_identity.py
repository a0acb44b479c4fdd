from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event, update

from domain.errors import Unauthenticated
from domain.identity import Role
from domain.ids import Prefix, to_global
from gql.schema import build_schema
from persistence.tables import members
from runtime.settings import Settings
from tests.support.api import Answer, Api
from tests.support.identity import PASSWORD, SETUP_TOKEN, Clock, identity_services

if TYPE_CHECKING:
    from persistence.database import Database

EMAIL = "ada@example.com"
SCHEMA = build_schema(Settings(_env_file=None))  # pyright: ignore[reportCallIssue]

SIGN_UP = """
mutation ($input: SignUpInput!) { signUp(input: $input) {
  viewer { user { id email name createdAt } scopes workspaces { totalCount nodes { id name role createdAt } } }
  accessToken refreshToken expiresAt userErrors { __typename message code path }
} }
"""
SIGN_IN = """
mutation ($input: SignInInput!) { signIn(input: $input) {
  viewer { user { email } } accessToken refreshToken expiresAt userErrors { __typename message code path }
} }
"""
REFRESH = """
mutation ($token: String) { refreshSession(input: { refreshToken: $token }) {
  viewer { user { email } } accessToken refreshToken expiresAt userErrors { code path }
} }
"""
SIGN_OUT = (
    "mutation ($all: Boolean!) { signOut(input: { isEverywhere: $all }) { endedSessionCount userErrors { code } } }"
)
CHANGE = """
mutation ($input: ChangePasswordInput!) { changePassword(input: $input) { user { email } userErrors { code path } } }
"""
VIEWER = "{ viewer { user { id } workspaces { nodes { id } } } }"
WORKSPACE = "query ($id: ID!) { workspace(id: $id) { id name role } }"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def api(database: Database, clock: Clock) -> Api:
    return Api(SCHEMA, identity_services(database, clock))


async def sign_up(api: Api, email: str = EMAIL, **more: Any) -> dict[str, Any]:
    answer = await api.run(SIGN_UP, {"input": {"email": email, "password": PASSWORD, **more}})
    assert answer.errors == []
    return answer.data["signUp"]


def cookies_of(answer: Answer) -> dict[str, str]:
    pairs = [cookie.split(";")[0].split("=", 1) for cookie in answer.set_cookies]
    return {name: value.strip('"') for name, value in pairs}


async def test_signing_up_gives_a_viewer_with_a_workspace_and_tokens_that_work(api: Api) -> None:
    payload = await sign_up(api, name="Ada")
    assert payload["userErrors"] == []
    assert payload["expiresAt"] == "2026-11-22T12:15:00Z"
    viewer = payload["viewer"]
    assert (viewer["user"]["email"], viewer["user"]["name"]) == (EMAIL, "Ada")
    assert viewer["user"]["id"].startswith("user_")
    assert viewer["scopes"] == ["READ", "WRITE", "EXECUTE", "ADMIN"]
    assert viewer["workspaces"]["totalCount"] == 1
    assert [(one["name"], one["role"]) for one in viewer["workspaces"]["nodes"]] == [("Ada's workspace", "OWNER")]
    caller = await api.services.identity.authenticate(payload["accessToken"])
    assert to_global(Prefix.USER, caller.user.id) == viewer["user"]["id"]


async def test_what_is_wrong_with_a_sign_up_is_told_with_its_place(api: Api) -> None:
    answer = await api.run(SIGN_UP, {"input": {"email": EMAIL, "password": "short"}})
    assert answer.data["signUp"] == {
        "viewer": None,
        "accessToken": None,
        "refreshToken": None,
        "expiresAt": None,
        "userErrors": [
            {
                "__typename": "InvalidInputError",
                "message": "A password has 10 to 1,024 characters.",
                "code": "INVALID_INPUT",
                "path": ["input", "password"],
            }
        ],
    }
    assert answer.set_cookies == []


async def test_a_closed_server_asks_for_its_set_up_token(database: Database, clock: Clock) -> None:
    api = Api(SCHEMA, identity_services(database, clock, is_sign_up_open=False))
    assert [error["code"] for error in (await sign_up(api))["userErrors"]] == ["INVALID_TOKEN"]
    assert (await sign_up(api, inviteToken=SETUP_TOKEN))["userErrors"] == []
    later = await sign_up(api, "eve@example.com")
    assert [(error["__typename"], error["code"]) for error in later["userErrors"]] == [("ForbiddenError", "FORBIDDEN")]


async def test_signing_in_tells_unknown_and_wrong_alike(api: Api) -> None:
    await sign_up(api)
    right = await api.run(SIGN_IN, {"input": {"email": EMAIL, "password": PASSWORD}})
    assert right.data["signIn"]["viewer"] == {"user": {"email": EMAIL}}
    wrong = [
        (await api.run(SIGN_IN, {"input": {"email": email, "password": "wrong horse"}})).data["signIn"]
        for email in (EMAIL, "eve@example.com", "no address")
    ]
    assert wrong[0]["userErrors"][0]["code"] == "INVALID_CREDENTIALS"
    assert wrong[0] == wrong[1] == wrong[2]


async def test_twenty_aliases_of_a_wrong_sign_in_count_as_twenty_tries(api: Api, clock: Clock) -> None:
    await sign_up(api)
    clock.advance(minutes=2)
    field = f'signIn(input: {{ email: "{EMAIL}", password: "wrong horse" }}) {{ userErrors {{ code }} }}'
    answer = await api.run(f"mutation {{ {' '.join(f'a{n}: {field}' for n in range(20))} }}")
    codes = [payload["userErrors"][0]["code"] for payload in answer.data.values()]
    assert codes == ["INVALID_CREDENTIALS"] * 5 + ["RATE_LIMITED"] * 15


async def test_a_browser_needs_no_token_in_its_script(api: Api) -> None:
    answer = await api.run(SIGN_UP, {"input": {"email": EMAIL, "password": PASSWORD}})
    first = cookies_of(answer)
    assert first["anabranch_access"] == answer.data["signUp"]["accessToken"]
    again = await api.run(REFRESH, cookies=first)
    assert again.data["refreshSession"]["viewer"] == {"user": {"email": EMAIL}}
    second = cookies_of(again)
    assert second["anabranch_refresh"] not in {first["anabranch_refresh"], ""}
    caller = await api.services.identity.authenticate(second["anabranch_access"])
    out = await api.run(SIGN_OUT, {"all": False}, caller=caller, cookies=second)
    assert out.data["signOut"] == {"endedSessionCount": 1, "userErrors": []}
    assert cookies_of(out) == {"anabranch_access": "", "anabranch_refresh": ""}


async def test_a_refresh_token_in_the_arguments_wins_and_none_at_all_is_an_error(api: Api) -> None:
    payload = await sign_up(api)
    other = await sign_up(api, "eve@example.com")
    answer = await api.run(
        REFRESH, {"token": payload["refreshToken"]}, cookies={"anabranch_refresh": other["refreshToken"]}
    )
    assert answer.data["refreshSession"]["viewer"] == {"user": {"email": EMAIL}}
    assert answer.data["refreshSession"]["expiresAt"] == "2026-11-22T12:15:00Z"
    nothing = await api.run(REFRESH)
    assert nothing.data["refreshSession"]["userErrors"] == [
        {"code": "INVALID_TOKEN", "path": ["input", "refreshToken"]}
    ]


async def test_a_refresh_token_that_comes_twice_ends_the_session(api: Api) -> None:
    payload = await sign_up(api)
    again = (await api.run(REFRESH, {"token": payload["refreshToken"]})).data["refreshSession"]
    reused = (await api.run(REFRESH, {"token": payload["refreshToken"]})).data["refreshSession"]
    assert reused["viewer"] is None
    assert [error["code"] for error in reused["userErrors"]] == ["INVALID_TOKEN"]
    with pytest.raises(Unauthenticated):
        await api.services.identity.authenticate(again["accessToken"])


async def test_after_signing_out_the_rest_of_the_document_is_nobodys(api: Api) -> None:
    caller = await api.services.identity.authenticate((await sign_up(api))["accessToken"])
    out = "signOut(input: {}) { endedSessionCount }"
    answer = await api.run(f"mutation {{ a: {out} b: {out} }}", caller=caller)
    assert answer.codes == ["UNAUTHENTICATED"]


async def test_a_password_is_changed_by_who_knows_it(api: Api) -> None:
    caller = await api.services.identity.authenticate((await sign_up(api))["accessToken"])
    wrong = {"currentPassword": "wrong horse", "newPassword": "another horse"}
    refused = await api.run(CHANGE, {"input": wrong}, caller=caller)
    assert refused.data["changePassword"] == {
        "user": None,
        "userErrors": [{"code": "INVALID_CREDENTIALS", "path": ["input", "currentPassword"]}],
    }
    right = {"currentPassword": PASSWORD, "newPassword": "another horse"}
    changed = await api.run(CHANGE, {"input": right}, caller=caller)
    assert changed.data["changePassword"] == {"user": {"email": EMAIL}, "userErrors": []}


async def test_the_viewer_is_null_for_nobody(api: Api) -> None:
    answer = await api.run(VIEWER)
    assert (answer.data, answer.errors) == ({"viewer": None}, [])


async def test_a_workspace_is_there_for_its_members_only(api: Api, database: Database) -> None:
    own, foreign = await sign_up(api), await sign_up(api, "eve@example.com")
    own_id, foreign_id = (one["viewer"]["workspaces"]["nodes"][0]["id"] for one in (own, foreign))
    async with database.connection() as connection:
        await connection.execute(update(members).values(role=Role.EDITOR.value))
    caller = await api.services.identity.authenticate(own["accessToken"])
    found = await api.run(WORKSPACE, {"id": own_id}, caller=caller)
    assert found.data["workspace"] == {"id": own_id, "name": "ada's workspace", "role": "EDITOR"}
    for other in (foreign_id, "ws_unknown", own["viewer"]["user"]["id"], ""):
        assert (await api.run(WORKSPACE, {"id": other}, caller=caller)).data == {"workspace": None}


async def test_text_that_cannot_be_stored_is_a_user_error(api: Api) -> None:
    for text in ("nul\0@example.com", "half\ud83d@example.com"):
        answer = await api.run(SIGN_UP, {"input": {"email": text, "password": PASSWORD}})
        assert answer.data["signUp"]["userErrors"][0]["code"] == "INVALID_INPUT"


async def test_the_viewer_and_a_page_of_workspaces_with_their_count_are_one_statement(
    api: Api, database: Database
) -> None:
    caller = await api.services.identity.authenticate((await sign_up(api))["accessToken"])
    statements: list[str] = []
    engine = database._engine.sync_engine
    event.listen(engine, "before_cursor_execute", lambda *arguments: statements.append(arguments[2]))
    document = (
        "{ viewer { user { id } workspaces(first: 100) { totalCount pageInfo { hasNextPage } nodes { id role } } } }"
    )
    assert (await api.run(document, caller=caller)).errors == []
    assert len(statements) == 1
