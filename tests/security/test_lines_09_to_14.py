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
from domain.ids import Prefix, split_global, to_global
from gql.schema import build_schema
from runtime.settings import Settings
from runtime.tokens import AccessTokens
from tests.gql.test_api_keys import MUTATIONS, ada, api, caller_of, create
from tests.gql.test_permissions import OBJECTS, Stage, codes, prefix_of, stage, values
from tests.runtime.test_tokens import KEY, Clock, forged
from tests.support.foreign_ids import Stranger
from tests.support.graphql_socket import opened
from tests.support.identity import ADDRESS, PASSWORD, dump_of, identity_service
from tests.support.identity import Clock as Time
from tests.support.probe import OTHER_KEY, probe_settings, probing
from tests.support.reading import Reader

if TYPE_CHECKING:
    from domain.identity import Principal
    from persistence.database import Database
    from tests.support.api import Api
    from tests.support.foreign_ids import Place

__all__ = ["ada", "api", "stage"]
LONG = KEY * 2
resigned = partial(forged, key=LONG)
EMAIL = "ada@example.com"
OWNERSHIP = ("owner", "tenant", "createdby", "userid", "status")


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


async def test_line_13_an_id_of_another_tenant_is_as_unknown_as_any_in_every_place_that_reads(stage: Stage) -> None:
    """With one id of each type in each place, nested ones and those of other types too; `test_crawl.py` gives all there are."""
    made = await asyncio.gather(*(stage.make(prefix, stage.eve) for prefix in OBJECTS))
    own = {prefix: [await stage.make(prefix, stage.ada)] for prefix in (Prefix.WORKFLOW, Prefix.RUN, Prefix.COLLECTION)}
    own[Prefix.WORKSPACE] = [to_global(Prefix.WORKSPACE, next(iter(stage.ada.roles)))]
    objects = {"Workspace": own[Prefix.WORKSPACE][0], "Workflow": own[Prefix.WORKFLOW][0]}
    ada = Stranger(stage.api, stage.ada, Reader(stage.api.schema._schema, {}), own, objects)
    places = [place for place in ada.places if not (place.is_mutation or (place.is_stream and place.is_narrowing))]
    assert {"node.id", "nodes.ids", "runEvents.runId", "search.input.collectionId"} <= {place.path for place in places}
    assert "Workspace.auditEntries.filter.targetId" in {place.path for place in places}
    wrong: list[object] = []

    async def ask(place: Place, foreign: str) -> None:
        said, of_nobody = await ada.is_told_the_same(place, foreign)
        if said != of_nobody or any(one in said for one in made):
            wrong.append((place.path, foreign, said, of_nobody))

    asked = [
        (place, one) for place in places for one in made if not place.is_stream or place.prefix is split_global(one)[0]
    ]
    await asyncio.gather(*(ask(place, one) for place, one in asked))
    assert wrong == []
    assert ada.asked >= 2 * len(made) * 10


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
