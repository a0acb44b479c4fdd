"""What a node kind is: configuration, output, error codes, ports and `run`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Protocol

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic.alias_generators import to_camel

from domain.run import DeltaChannel, Usage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from domain.data_tables import DataTable, RowWrite, Written
    from domain.json_value import Json
    from domain.ports.data_tables import ExternalWrite
    from domain.ports.node_collections import NodeCollections
    from domain.ports.outbound import ChatModel, Credential, HttpClient
    from domain.suspensions import SubRunCall, Suspension
    from domain.versions import VersionTrack


class Config(BaseModel):
    """The configuration of a node kind: frozen, camelCase outside, each field with a docstring.

    String and JSON fields are templates unless marked `STATIC` or `EXPRESSION`; those marked `SECRET_CAPABLE` may use
    `secrets.NAME`.
    Field types must be GraphQL-shaped: scalars, StrEnum, lists, optionals, nested `Config`s, `JsonField`.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=True,
        use_attribute_docstrings=True,
        allow_inf_nan=False,
    )
    is_one_of: ClassVar[bool] = False
    """Whether exactly one field is set, as with `@oneOf`."""


class OneOf(Config):
    """A configuration of which exactly one field is set, as with `@oneOf`; null counts only where a field holds any JSON."""

    is_one_of: ClassVar[bool] = True

    @model_validator(mode="after")
    def _exactly_one_field_is_set(self) -> OneOf:
        given = [name for name in self.model_fields_set if getattr(self, name) is not None]
        if len(given or self.model_fields_set) != 1:
            names = ", ".join(to_camel(name) for name in type(self).model_fields)
            raise ValueError(f"exactly one of these is set: {names}")
        return self


class Output(BaseModel):
    """The declared output of a node kind: what expressions can read behind `nodes.<key>.output`."""

    model_config = ConfigDict(
        frozen=True, alias_generator=to_camel, populate_by_name=True, use_attribute_docstrings=True
    )


@dataclass(frozen=True, slots=True)
class Static:
    """Marks a field whose text is taken as it is: a reference or a name, never a template."""


@dataclass(frozen=True, slots=True)
class SecretCapable:
    """Marks a template field that may use `secrets.NAME`."""


@dataclass(frozen=True, slots=True)
class JsonField:
    """Marks a field (annotated `Any`) that holds any JSON value; the texts inside are templates unless static."""

    written_as: str | None = None
    """The input type that GraphQL has for writing it, such as `FilterInput`; None = `JSON`. It is always read as `JSON`."""


@dataclass(frozen=True, slots=True)
class Expression:
    """Marks a text field that is a bare expression, such as `nodes.score.output.value > 0.8`.

    `run` sees `HOLDS` or `FAILS`; where it cannot be evaluated, why, so that a choice which does not need it goes on.
    """


HOLDS: Final = "true"
FAILS: Final = "false"


@dataclass(frozen=True, slots=True)
class Reference:
    """Marks a static field that names another object of the workspace, such as a connection."""

    to: str
    """`connection`, `collection`, `dataTable`, `workflow`, or `dataColumn` of the table that stands beside it."""


STATIC = Static()
EXPRESSION = Expression()
SECRET_CAPABLE = SecretCapable()
JSON_FIELD = JsonField()
FILTER_FIELD = JsonField("FilterInput")


class NameValue(Config):
    """A name with a text."""

    name: Annotated[str, STATIC]
    """The name."""
    value: Annotated[str, SECRET_CAPABLE]
    """The text; inside a node's configuration a template."""


@dataclass(frozen=True, slots=True)
class ConfigProblem:
    """What is wrong with a configuration; `path` leads to the field from the configuration, as `("headers", "0", "value")`."""

    path: tuple[str, ...]
    code: str
    """`TEMPLATE_SYNTAX`, `INVALID_CONFIG`, `UNKNOWN_CONFIG_FIELD`, `SECRET_NOT_ALLOWED`, or one of a kind's `check`."""
    message: str


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """A code that a node of the kind can fail with."""

    code: str
    description: str
    is_retryable: bool


@dataclass(slots=True)
class Result:
    """What an attempt returned: an `Output`, or plain JSON where the author decides the shape."""

    output: Output | Any = None
    ports: tuple[str, ...] = ("out",)
    usage: Usage | None = None
    write: RowWrite | None = None
    """Rows of a built-in table that are stored together with the node's end, exactly once; the output is then made of
    what was written (`rowCount`, `rows`), and `output` is left empty."""
    suspension: Suspension | None = None
    """What the node waits for from now on, without being at work; then `output` is left empty, and the kind's `resume`
    makes the result of the answer."""


class NodeContext(Protocol):
    """What a node may use while it runs."""

    @property
    def idempotency_key(self) -> str:
        """Equal in all attempts of this node (and item) of this run."""
        ...

    @property
    def http(self) -> HttpClient:
        """Outbound HTTP behind the guard."""
        ...

    async def chat(self, connection: str | None) -> ChatModel:
        """The model API of the named connection; None = the workspace's or the server's default.

        Raises:
            NodeFault: no such connection, or none configured.
        """
        ...

    async def credential(self, connection: str) -> Credential:
        """The credential of the named HTTP_AUTH connection.

        Raises:
            NodeFault: no such connection, or of another kind.
        """
        ...

    @property
    def collections(self) -> NodeCollections:
        """The vector collections of the run's workspace, by their names."""
        ...

    async def data_table(self, name: str) -> DataTable:
        """The built-in table of this name.

        Raises:
            NodeFault: `TABLE_NOT_FOUND`.
        """
        ...

    async def write_external(self, connection: str, write: ExternalWrite) -> Written:
        """Write to a table of the database behind the named POSTGRES connection, with one statement.

        Raises:
            NodeFault: no such connection, or as `domain.ports.data_tables.ExternalTables.write` says.
        """
        ...

    async def sub_workflow(self, slug: str, which: int | VersionTrack, given: Json) -> SubRunCall:
        """The call of a workflow of the run's workspace, to be returned as a suspension; nothing is started yet.

        Raises:
            NodeFault: `WORKFLOW_NOT_FOUND`, `WORKFLOW_NOT_RUNNABLE`, `INVALID_SUB_INPUT`.
        """
        ...

    async def emit(self, text: str, channel: DeltaChannel = DeltaChannel.TEXT) -> None:
        """Stream a piece of text; it is batched, logged and shown live. Counts as progress."""
        ...

    def progress(self) -> None:
        """Tell that something moved (a byte, a token): restarts the idle timeout."""
        ...

    def used(self, usage: Usage) -> None:
        """Tell what has been used so far, so that a cancelled or failed attempt reports it too."""
        ...


@dataclass(frozen=True, slots=True)
class NodeKind:
    """A kind of node. `run` performs one attempt and raises `NodeFault`, or returns a `Result`."""

    kind: str
    """The name in the enum, such as `HTTP_REQUEST`."""
    name: str
    """The field in `NodeConfigInput`, such as `httpRequest`."""
    title: str
    description: str
    config: type[Config]
    output: type[Output] | None
    """The declared output; None where the author decides the shape."""
    run: Callable[[Any, NodeContext], Awaitable[Result]]
    error_codes: Sequence[ErrorCode] = ()
    ports: tuple[str, ...] = ("out",)
    """The ports it always has, beside `error`."""
    ports_of: Callable[[Any], tuple[str, ...]] | None = None
    """The ports that a configuration adds."""
    check: Callable[[Any], Sequence[ConfigProblem]] | None = None
    """Finds what the model alone cannot tell, such as features that are not there; called with templates as written."""
    is_idempotent: bool = False
    is_pure: bool = False
    """Whether `run` computes without ever waiting and without its context: then no task and no timeout is made for it."""
    resume: Callable[[Any], Result] | None = None
    """For kinds that suspend: makes the result of the answer that ends the wait (see `domain.suspensions`), or raises
    `NodeFault`; it computes, like a pure `run`."""
    nested: tuple[type[Config], ...] = field(default=())
