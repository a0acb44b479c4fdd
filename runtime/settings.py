"""Settings: `ANABRANCH_…` variables, nested with `__`, and an optional `.env`."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from domain.prices import ModelPrice, PriceList


def _json(value: object) -> object:
    """Read an object that a variable holds as JSON."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError as error:
        raise ValueError("it is no JSON") from error


def _parts(value: object) -> object:
    """Read a list that a variable holds: JSON, or separated by commas."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        return _json(value)
    return [part.strip() for part in value.split(",") if part.strip()]


Texts = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_parts)]
Keys = Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_parts)]


class Group(BaseModel):
    """A nested group of settings."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True, extra="forbid")


Amount = Annotated[Decimal, Field(ge=0, max_digits=24, decimal_places=12)]


class PriceSettings(Group):
    """What a model costs."""

    input: Amount
    """A million tokens sent."""
    output: Amount
    """A million tokens received."""
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] = "USD"
    """ISO 4217 code."""


class LlmSettings(Group):
    """The model that LLM_CALL nodes use where neither node nor workspace names a connection."""

    base_url: str | None = None
    """Address of an OpenAI-compatible API up to and with `/v1`; for Qwen the compatible mode of DashScope."""
    api_key: SecretStr | None = None
    """Its key."""
    model: str | None = None
    """The model's name, such as `qwen-plus`."""
    max_concurrent: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """Requests to it at once, of all processes together; no limit when absent."""
    requests_per_minute: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """Requests to it in any minute, of all processes together; no limit when absent."""
    prices: Annotated[dict[str, PriceSettings], NoDecode, BeforeValidator(_json)] = {}
    """What models cost per million tokens, as JSON: `{"qwen-plus": {"input": "0.4", "output": "1.2", "currency": "USD"}}`; `"qwen-*"` stands for all names that begin so, and all prices are in one currency."""

    @field_validator("prices")
    @classmethod
    def _one_currency(cls, prices: dict[str, PriceSettings]) -> dict[str, PriceSettings]:
        if len({price.currency for price in prices.values()}) > 1:
            raise ValueError("all prices must be in one currency, or costs could not be added up")
        return prices

    @property
    def price_list(self) -> PriceList:
        """The prices as costs are computed by them."""
        return PriceList(
            {name: ModelPrice(price.input, price.output, price.currency) for name, price in self.prices.items()}
        )


class EmbeddingSettings(Group):
    """The model that makes vectors for collections that name no connection; it runs in the server's process."""

    model: str | None = None
    """The model's name; `BAAI/bge-small-en-v1.5` when absent, downloaded at first use."""
    model_path: Path | None = None
    """A directory with the model's files (`model.onnx`, `tokenizer.json`, `config.json`, …) instead of the download."""


class OutboundSettings(Group):
    """What nodes may reach."""

    allowed: Texts = ()
    """Exact `host:port` pairs that may be reached although they are private, separated by commas."""
    connect_timeout_s: float = 10.0
    """How long a connection may take to be made."""


class DatabaseSettings(Group):
    """How the database is used."""

    pool_size: int = 10
    """Connections for queries and mutations."""
    statement_timeout_ms: int = 30_000
    """The longest statement of a query; never applied to the run log."""


class RunsSettings(Group):
    """The embedded engine."""

    max_concurrent_runs: int = 1_000
    """Runs in the memory of one process; 0 = it executes none and leaves them to others, as `serve --no-runs` does."""
    lease_renewal_s: float = 5.0
    """How often an executor renews its lease."""
    lease_expiry_s: float = 15.0
    """After how long without renewal its runs may be taken."""
    takeover_probe_s: float = 1.0
    """Time between the two probes of a dead executor's lock."""
    poll_s: float = 0.2
    """How often the engine looks for commands and runs that a lost wake-up left behind."""
    max_recoveries: int = 10
    """Recoveries without progress in between, before a run is CRASHED."""
    linger_s: float = 2.0
    """How long a run that only waits stays in memory."""
    compact_after_s: float = 600.0
    """After how long the pieces of text that an ended run has streamed are merged in its log."""
    cancel_grace_s: float = 5.0
    """How long a cancelled node may take before it is abandoned."""


class LimitsSettings(Group):
    """How much one workspace, or one run, may take; what is more is refused or fails with a message that names the setting."""

    workflows: Annotated[int, Field(ge=1)] = 10_000
    """Workflows of a workspace."""
    unfinished_runs: Annotated[int, Field(ge=1)] = 100_000
    """Runs of a workspace that have not ended: queued, at work, waiting or paused."""
    runs_at_work: Annotated[int, Field(ge=1)] = 10_000
    """Runs of a workspace that one process begins at once; more wait in the queue. Below `max_concurrent_runs` it keeps room for others."""
    events_per_run: Annotated[int, Field(ge=100)] = 1_000_000
    """Events in the log of a run, pieces of streamed text included."""
    output_bytes_per_run: Annotated[int, Field(ge=1)] = 1_073_741_824
    """Bytes that all nodes and items of a run return and stream together."""
    rows_per_table: Annotated[int, Field(ge=1)] = 1_000_000
    """Rows of a built-in table."""
    documents_per_collection: Annotated[int, Field(ge=1)] = 1_000_000
    """Documents of a collection."""


class VectorsSettings(Group):
    """The indexes of vector collections."""

    flat_max: int = 10_000
    """Up to how many vectors a search compares with every one; above it follows a graph of neighbours (HNSW)."""
    hnsw_m: int = 32
    """Neighbours of a vector in the graph; more find better and take more memory."""
    hnsw_ef_construction: int = 40
    """How widely neighbours are looked for when a vector is added."""
    hnsw_ef_search: int = 64
    """How widely a search looks; more find better and take longer."""
    snapshot_after: int = 10_000
    """After how many changes an index is written to disk while the server runs; when it stops, after 1,000."""
    max_memory_mb: int = 2_048
    """Indexes in memory; those that were not searched for the longest time make room."""


class ApiSettings(Group):
    """Limits of the GraphQL endpoint."""

    max_body_bytes: int = 1_048_576
    """The largest request body."""
    max_documents_bytes: int = 4_194_304
    """The largest request body of `upsertDocuments`."""
    max_query_bytes: int = 65_536
    """The longest document."""
    max_tokens: int = 5_000
    """Tokens of a document."""
    max_depth: int = 15
    """Nesting of a document, fragments included."""
    max_aliases: int = 50
    """Aliases of a document, fragments included."""
    max_root_fields: int = 20
    """Fields at the root of an operation."""
    max_directives: int = 5
    """Directives at one place."""
    max_cost: int = 20_000
    """Objects that an operation may ask for, with `first` and `last` counted."""
    resolver_timeout_s: float = 30.0
    """The longest query or mutation."""
    max_socket_message_bytes: int = 1_048_576
    """The largest message on a websocket."""
    max_subscriptions_per_socket: int = 100
    """Operations at once on one websocket."""
    max_sockets: int = 10_000
    """Websockets and streams over HTTP of one process."""
    init_timeout_s: float = 10.0
    """How long a websocket may wait before `connection_init`."""
    ping_interval_s: float = 20.0
    """Time between two pings on a websocket."""
    heartbeat_interval_s: float = 10.0
    """Time between two signs of life on a stream over HTTP."""
    session_check_s: float = 25.0
    """How often the session behind a websocket or stream is looked up again."""
    is_introspection_enabled: bool = True
    """Whether the schema can be read through the API."""
    is_graphiql_enabled: bool = True
    """Whether `/graphiql` is served."""
    trusted_documents: Path | None = None
    """A JSON file `{sha256: document}` of documents that clients may ask for by their hash."""
    is_trusted_only: bool = False
    """Whether nothing but these documents is executed."""
    allowed_origins: Texts = ()
    """Origins of other sites whose pages may call the API, separated by commas; the server's own always may."""


class Settings(BaseSettings):
    """All settings; frozen."""

    model_config = SettingsConfigDict(
        env_prefix="ANABRANCH_",
        env_nested_delimiter="__",
        env_file=".env",
        env_ignore_empty=True,
        frozen=True,
        extra="ignore",
        use_attribute_docstrings=True,
    )

    data_dir: Path = Path("data")
    """Where the embedded database and the keys lie."""
    database_url: SecretStr | None = None
    """An outside PostgreSQL ≥ 15; absent = the embedded one under `data_dir`."""
    host: str = "127.0.0.1"
    """The address the server listens on."""
    port: int = 8000
    """The port the server listens on; 0 = a free one."""
    public_url: Annotated[str, Field(pattern=r"^https?://[^\s/?#]+$")] | None = None
    """Where people reach the server, such as `https://flows.example.com`, for links that are sent; absent = where a request did."""
    trusted_proxies: Texts = ()
    """Addresses and networks of proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed, separated by commas, such as `127.0.0.1` or `10.0.0.0/8`; nobody's if absent."""
    engine: Literal["local"] = "local"
    """What executes runs."""
    signup: Literal["auto", "open"] = "auto"
    """`open`: anyone may sign up; `auto`: only while the server listens on loopback."""
    token_keys: Keys = ()
    """Keys of access tokens, separated by commas: the first signs, all are accepted; made under `data_dir` when absent."""
    encryption_keys: Keys = ()
    """Fernet keys of secrets at rest, separated by commas: the first encrypts, all decrypt; made under `data_dir` when absent and embedded."""
    is_development: bool = False
    """Whether documents' mistakes are answered with suggestions."""
    metrics_token: SecretStr | None = None
    """What `/metrics` is asked with, as `Authorization: Bearer …`; without one it answers only while the server listens on loopback."""
    shutdown_timeout_s: float = 10.0
    """How long a stopping server waits for requests and runs."""
    llm: LlmSettings = LlmSettings()
    embedding: EmbeddingSettings = EmbeddingSettings()
    outbound: OutboundSettings = OutboundSettings()
    database: DatabaseSettings = DatabaseSettings()
    runs: RunsSettings = RunsSettings()
    limits: LimitsSettings = LimitsSettings()
    vectors: VectorsSettings = VectorsSettings()
    api: ApiSettings = Field(default=ApiSettings())

    @property
    def is_loopback(self) -> bool:
        """Whether the server listens on this machine only."""
        return self.host in {"127.0.0.1", "::1", "localhost"}

    def address(self, origin: str | None = None) -> str:
        """Return where people reach the server, who made a request at `origin`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.public_url or origin or f"http://{host}:{self.port}"
