"""Lines 9 to 14 of docs/design/security.md: identity. What API keys add to lines 9 and 13 is in `tests/gql/test_api_keys*.py`."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from argon2 import PasswordHasher
from graphql import get_named_type, is_input_object_type
from uuid_utils.compat import uuid7

from domain.errors import InvalidCredentials, InvalidToken, RateLimited, Unauthenticated
from domain.identity import Scope
from domain.ids import Prefix, to_global
from gql.schema import build_schema
from runtime.settings import Settings
from runtime.tokens import AccessTokens
from tests.gql.test_api_keys import MUTATIONS, ada, api, caller_of, create
from tests.gql.test_permissions import OBJECTS, Stage, codes, prefix_of, stage, values
from tests.runtime.test_tokens import KEY, Clock, forged
from tests.support.graphql_socket import opened
from tests.support.identity import ADDRESS, PASSWORD, dump_of, identity_service
from tests.support.identity import Clock as Time
from tests.support.probe import OTHER_KEY, probe_settings, probing

if TYPE_CHECKING:
    from domain.identity import Principal
    from persistence.database import Database
    from tests.support.api import Api

__all__ = ["ada", "api", "stage"]
LONG = KEY * 2
resigned = partial(forged, key=LONG)
EMAIL = "ada@example.com"
OWNERSHIP = ("owner", "tenant", "createdby", "userid", "status")
RUN_EVENTS = "subscription($id: ID!) { runEvents(runId: $id) { seq } }"


async def test_line_09_nothing_runs_before_the_acknowledgement_and_an_ended_session_closes_its_socket() -> None:
    async with probing(probe_settings(session_check_s=0.05)) as probe:
        async with opened(probe) as socket:
            await socket.subscribe("1", "{ server { version } }")
            assert (await socket.closed())[0] == 4401
        token, session_id = probe.sessions.sign_in()
        async with opened(probe) as socket:
            await socket.init(authorization=f"Bearer {token}")
            probe.sessions.ended.add(session_id)
            async with asyncio.timeout(10):
                assert (await socket.closed())[0] == 4403
    assert Settings(_env_file=None).api.session_check_s <= 30  # pyright: ignore[reportCallIssue]


async def test_line_10_no_forged_token_is_taken_and_a_stolen_refresh_token_ends_its_session(database: Database) -> None:
    tokens = AccessTokens([LONG], clock=Clock())
    wrong = {
        "key": resigned(tokens, key=OTHER_KEY),
        "algorithm": resigned(tokens, algorithm="HS512"),
        "issuer": resigned(tokens, claims={"iss": "another"}),
        "audience": resigned(tokens, claims={"aud": "another"}),
        "expired": resigned(tokens, claims={"exp": 1}),
        "without exp": resigned(tokens, without="exp"),
        "alg none": "eyJhbGciOiJub25lIn0." + resigned(tokens).split(".")[1] + ".",
    }
    assert tokens.verify(resigned(tokens))
    for what, token in wrong.items():
        with pytest.raises(Unauthenticated):
            pytest.fail(f"taken: {what} {tokens.verify(token)}")
    service = identity_service(database, Time())
    signed_in = await service.sign_up(EMAIL, PASSWORD, None, None, address=ADDRESS)
    traded = await service.refresh(signed_in.refresh_token)
    for token in (signed_in.refresh_token, traded.refresh_token):
        with pytest.raises(InvalidToken):
            await service.refresh(token)
    with pytest.raises(Unauthenticated):
        await service.authenticate(traded.access_token)


class Counting(PasswordHasher):
    """Counts what it verifies: equal work is equal time, whatever else the machine does."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=64, parallelism=1)
        self.parameters: list[str] = []

    def verify(self, hash: Any, password: Any) -> Any:  # noqa: A002 -- argon2's name
        """Remember the parameters, and verify."""
        self.parameters.append(str(hash).rsplit("$", 2)[0])
        return super().verify(hash, password)


async def test_line_11_unknown_accounts_cost_what_wrong_passwords_cost_and_tries_are_few(database: Database) -> None:
    hasher, clock = Counting(), Time()
    service = identity_service(database, clock, hasher=hasher)
    await service.sign_up(EMAIL, PASSWORD, None, None, address=ADDRESS)
    clock.advance(minutes=2)
    told: list[str] = []
    for email in (EMAIL, "nobody@example.com"):
        with pytest.raises(InvalidCredentials) as refused:
            await service.sign_in(email, "a wrong password", address=ADDRESS)
        told.append(refused.value.message)
    assert told[0] == told[1]
    assert len(hasher.parameters) == 2
    assert hasher.parameters[0] == hasher.parameters[1]
    assert hasher.parameters[0].startswith("$argon2id$")
    for _ in range(4):
        with pytest.raises(InvalidCredentials):
            await service.sign_in(EMAIL, "a wrong password", address=ADDRESS)
    with pytest.raises(RateLimited):
        await service.sign_in(EMAIL, PASSWORD, address=ADDRESS)
    assert await service.sign_in(EMAIL, PASSWORD, address="203.0.113.7"), "another address is not locked out"
    clock.advance(minutes=1, seconds=1)
    assert await service.sign_in(EMAIL, PASSWORD, address=ADDRESS), "and this one not for ever"


async def test_line_12_a_key_is_stored_hashed_and_one_to_read_changes_nothing(
    api: Api, ada: Principal, database: Database
) -> None:
    token = (await create(api, ada, Scope.READ))["token"]
    reader = await caller_of(api, token)
    told = await api.run("{ viewer { workspaces { nodes { role } } } }", caller=reader)
    assert told.data["viewer"]["workspaces"]["nodes"] == [{"role": "OWNER"}], "it reads what its maker may read"
    assert len(MUTATIONS) >= 50, "all that introspection knows"
    for each in MUTATIONS:
        ids = {place: to_global(prefix_of(place), uuid7()) for place in each.ids}
        answer = await api.run(each.document(), each.variables(ids, values(each)), caller=reader)
        assert codes(answer) == {"FORBIDDEN"}, each.name
    dump = await dump_of(database)
    assert str(reader.user.email) in dump
    assert token not in dump


async def test_line_13_ids_of_others_find_nothing_in_lookups_filters_and_streams(stage: Stage) -> None:
    for prefix in OBJECTS:
        foreign, unknown = await stage.make(prefix, stage.eve), to_global(prefix, stage.ada.session_id)
        for asked in (foreign, unknown):
            found = await stage.api.run("query($id: ID!) { node(id: $id) { id } }", {"id": asked}, caller=stage.ada)
            assert (found.data, found.errors) == ({"node": None}, []), prefix
    workflow, run = await stage.make(Prefix.WORKFLOW, stage.eve), await stage.make(Prefix.RUN, stage.eve)
    own = await stage.make(Prefix.RUN, stage.ada)
    assert own
    for field in ("runs", "approvals"):
        document = f"query($i: [ID!]) {{ viewer {{ workspaces(first: 1) {{ nodes {{ {field}(filter: {{workflowIds: $i}}) {{ totalCount nodes {{ id }} }} }} }} }} }}"
        answer = await stage.api.run(document, {"i": [workflow]}, caller=stage.ada)
        assert answer.errors == [], field
        (workspace,) = answer.data["viewer"]["workspaces"]["nodes"]
        assert workspace[field] == {"totalCount": 0, "nodes": []}
    for asked in (run, to_global(Prefix.RUN, stage.ada.session_id)):
        first = await stage.api.first(RUN_EVENTS, {"id": asked}, caller=stage.ada, timeout_s=5)
        assert first is not None
        assert first.codes == ["NOT_FOUND"]


def test_line_14_no_input_sets_owner_tenant_or_status() -> None:
    schema = build_schema(Settings(_env_file=None))._schema  # pyright: ignore[reportCallIssue]
    inputs: dict[str, Any] = {}
    assert schema.mutation_type is not None
    arguments = [argument for field in schema.mutation_type.fields.values() for argument in field.args.values()]
    waiting: list[Any] = [get_named_type(argument.type) for argument in arguments]
    while waiting:
        kind: Any = waiting.pop()
        if is_input_object_type(kind) and kind.name not in inputs:
            inputs[kind.name] = kind
            waiting += [get_named_type(field.type) for field in kind.fields.values()]
    assert len(inputs) > 40
    found = [
        f"{name}.{field}"
        for name, kind in inputs.items()
        if not name.endswith("FilterInput") and not name.endswith("Filter")
        for field in kind.fields
        if field.lower().startswith(OWNERSHIP)
    ]
    assert found == []
