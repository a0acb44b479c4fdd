"""Schemathesis over a running server: documents by hypothesis, with ids, cursors and words of what is really there."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis.graphql import nodes

from tests.support.real_values import mended

if TYPE_CHECKING:
    from random import Random

    from tests.support.real_values import Pool

EXAMPLES = 6
_DESTRUCTIVE = ("delete", "remove", "revoke", "cancel")
_ENDS_SESSIONS = {"signOut", "changePassword"}
_ROOTS = ("Query", "Mutation")
_REQUEST_S = 40


def register_scalars() -> None:
    """Tell schemathesis what our scalars look like."""
    times = st.datetimes().map(lambda at: nodes.String(f"{at.isoformat(timespec='milliseconds')}Z"))
    amounts = st.decimals(0, 1_000, places=4).map(lambda amount: nodes.String(str(amount)))
    small = st.one_of(
        st.integers(-9, 9).map(nodes.Int), st.text(max_size=5).map(nodes.String), st.booleans().map(nodes.Boolean)
    )
    schemathesis.graphql.scalar("DateTime", times)
    schemathesis.graphql.scalar("Decimal", amounts)
    schemathesis.graphql.scalar(
        "JSON",
        st.one_of(
            small, st.lists(small, max_size=3).map(lambda items: nodes.List(list(items))), st.just(nodes.Object([]))
        ),
    )


@dataclass
class Told:
    """What a server said: how often, of which root field, and what it must not say."""

    sent: Counter[str] = field(default_factory=Counter[str])
    answered: Counter[str] = field(default_factory=Counter[str])
    """Root fields that were not null."""
    done: Counter[str] = field(default_factory=Counter[str])
    """Mutations without user errors."""
    codes: Counter[str] = field(default_factory=Counter[str])
    faults: list[str] = field(default_factory=list[str])

    def share(self) -> float:
        """Return how many of the root fields were answered with something."""
        return len(self.answered) / len(self.sent)

    def add(self, name: str, document: str, response: requests.Response) -> None:
        """Keep an answer."""
        self.sent[name] += 1
        try:
            answer: dict[str, Any] = response.json()
        except ValueError:
            self._fault(name, document, f"{response.status_code} {response.text[:300]}")
            return
        codes = [error.get("extensions", {}).get("code") for error in answer.get("errors", [])]
        self.codes.update(map(str, codes))
        if response.status_code >= 500 or None in codes or "INTERNAL_SERVER_ERROR" in codes:
            self._fault(name, document, response.text[:500])
        data: dict[str, Any] = answer.get("data") or {}
        values: list[Any] = [value for value in data.values() if value is not None]
        if values:
            self.answered[name] += 1
        if any(isinstance(value, dict) and cast("dict[str, Any]", value).get("userErrors") == [] for value in values):
            self.done[name] += 1

    def _fault(self, name: str, document: str, said: str) -> None:
        if len(self.faults) < 20:
            self.faults.append(f"{name}: {said}\n{document[:1_500]}")


@dataclass
class Fuzzer:
    """Sends what schemathesis makes up as one person."""

    url: str
    email: str
    password: str
    pool: Pool
    told: Told = field(default_factory=Told)
    _token: str = ""

    def run(self, seconds: float) -> Told:
        """Ask every root field again and again; what destroys comes last."""
        self._sign_in()
        schema = schemathesis.graphql.from_url(self.url, headers=self._headers())
        untyped: Any = schema
        found: list[Any] = [result.ok() for result in untyped.get_all_operations()]
        operations: dict[str, Any] = {one.definition.field_name: one for one in found}
        ends, turn = time.monotonic() + seconds, 0
        gentle = [name for name in operations if not name.startswith(_DESTRUCTIVE)]
        while turn == 0 or time.monotonic() < ends - seconds / 6:
            turn += 1
            for name in gentle:
                if turn == 1 or time.monotonic() < ends - seconds / 6:
                    self._ask(operations[name], name, turn)
        for name in operations.keys() - set(gentle):
            self._ask(operations[name], name, turn)
        return self.told

    def _ask(self, operation: Any, name: str, turn: int) -> None:
        if name in _ENDS_SESSIONS:
            # Somebody whom nobody misses.
            self._token = self._signed("signUp", f"{name}{turn}-{time.time_ns()}@example.com")

        @seed(turn)
        @settings(
            max_examples=EXAMPLES, database=None, deadline=None, phases=[Phase.generate],
            suppress_health_check=cast("list[HealthCheck]", list(HealthCheck)),
        )  # fmt: skip
        @given(case=operation.as_strategy(), random=st.randoms(use_true_random=True))
        def send(case: Any, random: Random) -> None:
            case.body = mended(case.body, random, self.pool)
            response = case.call(headers=self._headers(), timeout=_REQUEST_S)
            self.told.add(name, case.body, response)
            self.pool.harvest(response.text)

        send()
        if not self._is_signed_in():
            self._sign_in()

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}"}

    def _is_signed_in(self) -> bool:
        answer = self._post("{ viewer { workspaces(first: 50) { nodes { id } } } }", {})
        data: dict[str, Any] = answer["data"] or {}
        viewer = data.get("viewer")
        return viewer is not None and self.pool.workspace in str(viewer)

    def _sign_in(self) -> None:
        self._token = self._signed("signIn", self.email)

    def _signed(self, field_name: str, email: str) -> str:
        kind = f"{field_name[0].upper()}{field_name[1:]}Input"
        document = (
            f"mutation ($input: {kind}!) {{ {field_name}(input: $input) {{ accessToken userErrors {{ code }} }} }}"
        )
        self._token = ""
        for _ in range(40):
            answer = self._post(document, {"input": {"email": email, "password": self.password}})
            token = answer["data"][field_name]["accessToken"]
            if token:
                return cast("str", token)
            time.sleep(2)  # signing in is limited to so many times a minute, and the fuzzer has tried
        message = f"{field_name} gives no token to {email}."
        raise AssertionError(message)

    def _post(self, query: str, variables: dict[str, object]) -> dict[str, Any]:
        headers = self._headers() if self._token else {}
        body: Any = {"query": query, "variables": variables}
        return requests.post(self.url, json=body, headers=headers, timeout=_REQUEST_S).json()
