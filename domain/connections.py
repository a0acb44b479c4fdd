"""Secrets, and connections to outside endpoints: what they are and what is acceptable in them."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import SplitResult, urlsplit

from domain.connection_prices import NamedPrice, check_prices
from domain.errors import InvalidInput, LimitExceeded
from domain.prices import NO_PRICES, PriceList
from domain.texts import check_line, size_of

if TYPE_CHECKING:
    from datetime import datetime

    from domain.ids import ConnectionId, SecretId, WorkspaceId
    from domain.rate_limits import Caps

MAX_SECRET_BYTES = 65_536
MAX_ORIGINS = 20
MAX_CAP = 100_000
_MAX_URL = 2_048
_SECRET_NAME = re.compile(r"[A-Z_][A-Z0-9_]{0,63}")
_CONNECTION_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
# What decides where a request goes, how long it is or who may see it is not a credential's to set.
_HEADERS_TAKEN = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer", "proxy-authorization"}
)
_DATABASE_HOST = re.compile(r"[a-z0-9._-]{1,253}|[0-9a-f:.]{2,45}")
_LARGEST_PORT = 65_535
_MAX_IDENTIFIER = 63
_DEFAULT_PORTS = {"http": 80, "https": 443}


class ConnectionKind(StrEnum):
    """Kinds of outside endpoints."""

    OPENAI_COMPATIBLE = "OPENAI_COMPATIBLE"
    POSTGRES = "POSTGRES"
    HTTP_AUTH = "HTTP_AUTH"


class HttpAuthScheme(StrEnum):
    """How a credential is sent."""

    BASIC = "BASIC"
    BEARER = "BEARER"
    HEADER = "HEADER"
    QUERY = "QUERY"


@dataclass(frozen=True, slots=True)
class OpenaiCompatibleSettings:
    """A model API in the manner of OpenAI's; `base_url` up to and with `/v1`."""

    base_url: str
    default_model: str | None = None
    prices: tuple[NamedPrice, ...] = ()

    @property
    def kind(self) -> ConnectionKind:
        """The kind of connection these settings make."""
        return ConnectionKind.OPENAI_COMPATIBLE


@dataclass(frozen=True, slots=True)
class HttpAuthSettings:
    """A credential for HTTP requests; `parameter` names the header of HEADER and the parameter of QUERY."""

    scheme: HttpAuthScheme
    allowed_origins: tuple[str, ...]
    username: str | None = None
    parameter: str | None = None

    @property
    def kind(self) -> ConnectionKind:
        """The kind of connection these settings make."""
        return ConnectionKind.HTTP_AUTH


@dataclass(frozen=True, slots=True)
class PostgresSettings:
    """A PostgreSQL database; without `is_tls_verified` the connection is encrypted only where the server can, unchecked."""

    host: str
    port: int
    database: str
    username: str | None = None
    is_tls_verified: bool = True

    @property
    def kind(self) -> ConnectionKind:
        """The kind of connection these settings make."""
        return ConnectionKind.POSTGRES


ConnectionSettings: TypeAlias = OpenaiCompatibleSettings | PostgresSettings | HttpAuthSettings


@dataclass(frozen=True, slots=True)
class Connection:
    """A named outside endpoint; its credential is stored apart and never leaves with it."""

    id: ConnectionId
    workspace_id: WorkspaceId
    name: str
    settings: ConnectionSettings
    has_credential: bool
    max_concurrent: int | None
    requests_per_minute: int | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Secret:
    """A named value, without the value."""

    id: SecretId
    workspace_id: WorkspaceId
    name: str
    description: str | None
    last_used_at: datetime | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class ChatSettings:
    """Where a model API is and how it is asked."""

    base_url: str
    api_key: str | None
    default_model: str | None
    caps: Caps | None = None
    """The limits of the connection, or of the server's own model."""
    prices: PriceList = NO_PRICES
    """What its models cost by the connection itself."""


def check_secret_name(name: str) -> str:
    """Return the name of a secret as templates use it.

    Raises:
        InvalidInput: not 1 to 64 capital letters, digits and underscores, or a digit first.
    """
    if not _SECRET_NAME.fullmatch(name):
        raise InvalidInput(
            "The name of a secret is 1 to 64 capital letters, digits and underscores, and starts with no digit.",
            path=["input", "name"],
        )
    return name


def check_secret_value(value: str) -> str:
    """Return the value of a secret.

    Raises:
        InvalidInput: empty, or not text that can be encoded.
        LimitExceeded: longer than 64 KiB.
    """
    size = size_of(value, ["input", "value"])
    if size == 0:
        raise InvalidInput("The value of a secret is not empty.", path=["input", "value"])
    if size > MAX_SECRET_BYTES:
        raise LimitExceeded(
            f"The value of a secret has at most {MAX_SECRET_BYTES} bytes.",
            limit=MAX_SECRET_BYTES,
            actual=size,
            path=["input", "value"],
        )
    return value


def check_connection_name(name: str) -> str:
    """Return the name of a connection as nodes use it.

    Raises:
        InvalidInput: not 1 to 64 letters, digits, dots, hyphens and underscores, or none of the first two in front.
    """
    if not _CONNECTION_NAME.fullmatch(name):
        raise InvalidInput(
            "The name of a connection is 1 to 64 letters, digits, dots, hyphens and underscores, "
            "and starts with a letter or a digit.",
            path=["input", "name"],
        )
    return name


def check_cap(value: int | None, field: str) -> int | None:
    """Return a cap on requests.

    Raises:
        InvalidInput: it is not between 1 and 100,000.
    """
    if value is not None and not 1 <= value <= MAX_CAP:
        raise InvalidInput(f"A cap is between 1 and {MAX_CAP:,}; null means none.", path=["input", field])
    return value


def check_settings(settings: ConnectionSettings, credential: str | None) -> ConnectionSettings:
    """Return the settings in their stored form: addresses normalised.

    Raises:
        InvalidInput: an address, a name, a price or the credential cannot be used.
        LimitExceeded: there are too many prices.
    """
    if isinstance(settings, OpenaiCompatibleSettings):
        path = ["input", "settings", "openaiCompatible"]
        _check_credential(credential, [*path, "apiKey"])
        if settings.default_model is not None:
            check_line(settings.default_model, [*path, "defaultModel"], limit=200)
        base_url = _base_url(settings.base_url, [*path, "baseUrl"])
        return replace(settings, base_url=base_url, prices=check_prices(settings.prices, [*path, "prices"]))
    if isinstance(settings, PostgresSettings):
        return _check_postgres(settings, credential)
    return _check_http_auth(settings, credential)


def addresses(settings: ConnectionSettings) -> list[tuple[str, list[str]]]:
    """Return every URL that the settings name, with the path of its argument; a database's is written with `http`."""
    if isinstance(settings, PostgresSettings):
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        return [(f"http://{host}:{settings.port}", ["input", "settings", "postgres", "host"])]
    if isinstance(settings, OpenaiCompatibleSettings):
        return [(settings.base_url, ["input", "settings", "openaiCompatible", "baseUrl"])]
    path = ["input", "settings", "httpAuth", "allowedOrigins"]
    return [(origin, [*path, str(place)]) for place, origin in enumerate(settings.allowed_origins)]


def credential_path(settings: ConnectionSettings) -> list[str]:
    """Return the path of the argument that gives the credential."""
    if isinstance(settings, PostgresSettings):
        return ["input", "settings", "postgres", "password"]
    if isinstance(settings, OpenaiCompatibleSettings):
        return ["input", "settings", "openaiCompatible", "apiKey"]
    return ["input", "settings", "httpAuth", "credential"]


def exposure(before: ConnectionSettings, after: ConnectionSettings) -> str | None:
    """Return the argument that would send a stored credential elsewhere, or less well protected; None = none does.

    Both are of one kind and in their stored form.
    """
    known = {address for address, _ in addresses(before)}
    moved = next((path for address, path in addresses(after) if address not in known), None)
    if isinstance(before, PostgresSettings) and isinstance(after, PostgresSettings):
        if moved is not None:
            return "host" if before.host != after.host else "port"
        return "isTlsVerified" if before.is_tls_verified and not after.is_tls_verified else None
    if moved is None and isinstance(before, HttpAuthSettings) and isinstance(after, HttpAuthSettings):
        # In a query, for example, it is in the logs of every server on the way.
        return "scheme" if before.scheme is not after.scheme else None
    return None if moved is None else moved[3]


def normalise_origin(text: str, path: list[str]) -> str:
    """Return `scheme://host[:port]` in lower case, without the scheme's own port.

    Raises:
        InvalidInput: another scheme than http and https, or more than an origin.
    """
    parts = _split(text, path)
    if parts.path not in {"", "/"} or parts.query:
        raise InvalidInput("An origin is scheme, host and port, such as `https://api.example.com`.", path=path)
    return _origin(parts)


def _check_postgres(settings: PostgresSettings, password: str | None) -> PostgresSettings:
    path = ["input", "settings", "postgres"]
    host = settings.host.strip().lower().strip("[]")
    if not _DATABASE_HOST.fullmatch(host):
        raise InvalidInput(
            "The host is a name or an address; sockets and several hosts are refused.", path=[*path, "host"]
        )
    if not 1 <= settings.port <= _LARGEST_PORT:
        raise InvalidInput(f"A port is between 1 and {_LARGEST_PORT:,}.", path=[*path, "port"])
    database = check_line(settings.database, [*path, "database"], limit=_MAX_IDENTIFIER)
    username = settings.username
    if username is not None:
        username = check_line(username, [*path, "username"], limit=_MAX_IDENTIFIER)
    _check_credential(password, [*path, "password"])
    return replace(settings, host=host, database=database, username=username)


def _check_http_auth(settings: HttpAuthSettings, credential: str | None) -> HttpAuthSettings:
    path = ["input", "settings", "httpAuth"]
    if credential is None:
        raise InvalidInput("This kind of connection is nothing without its credential.", path=[*path, "credential"])
    _check_credential(credential, [*path, "credential"])
    _check_scheme(settings, path)
    if not 1 <= len(settings.allowed_origins) <= MAX_ORIGINS:
        raise InvalidInput(f"Name 1 to {MAX_ORIGINS} origins.", path=[*path, "allowedOrigins"])
    origins = [
        normalise_origin(origin, [*path, "allowedOrigins", str(place)])
        for place, origin in enumerate(settings.allowed_origins)
    ]
    return replace(settings, allowed_origins=tuple(dict.fromkeys(origins)))


def _check_scheme(settings: HttpAuthSettings, path: list[str]) -> None:
    needs_parameter = settings.scheme in {HttpAuthScheme.HEADER, HttpAuthScheme.QUERY}
    if needs_parameter is (settings.parameter is None):
        raise InvalidInput("HEADER and QUERY, and only they, have a `parameter`.", path=[*path, "parameter"])
    if (settings.scheme is HttpAuthScheme.BASIC) is (settings.username is None):
        raise InvalidInput("BASIC, and only it, has a `username`.", path=[*path, "username"])
    if settings.username is not None:
        _check_credential(settings.username, [*path, "username"])
        if ":" in settings.username:
            raise InvalidInput("A user of BASIC has no colon.", path=[*path, "username"])
    if settings.parameter is not None and not _HEADER_NAME.fullmatch(settings.parameter):
        raise InvalidInput("The parameter is not a name that can be sent.", path=[*path, "parameter"])
    if settings.scheme is HttpAuthScheme.HEADER and (settings.parameter or "").lower() in _HEADERS_TAKEN:
        raise InvalidInput("This header cannot carry a credential.", path=[*path, "parameter"])


def _check_credential(value: str | None, path: list[str]) -> None:
    """A line break in a header would be the start of another header."""
    if value is None:
        return
    size = size_of(value, path)
    if not 1 <= size <= MAX_SECRET_BYTES or any(ord(letter) < 32 or ord(letter) == 127 for letter in value):  # noqa: PLR2004 - ASCII
        raise InvalidInput("A credential is not empty and has no control characters.", path=path)


def _base_url(text: str, path: list[str]) -> str:
    parts = _split(text, path)
    if parts.query:
        raise InvalidInput("The address has no query.", path=path)
    return f"{_origin(parts)}{parts.path.rstrip('/')}"


def _split(text: str, path: list[str]) -> SplitResult:
    if len(text) > _MAX_URL or any(ord(letter) <= 32 or ord(letter) == 127 for letter in text):  # noqa: PLR2004 - ASCII
        raise InvalidInput("This is no address.", path=path)
    size_of(text, path)
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise InvalidInput("This is no address.", path=path) from None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or port == 0 or parts.fragment:
        raise InvalidInput("An address starts with `https://` or `http://`, a host and perhaps a port.", path=path)
    if parts.username is not None or parts.password is not None:
        raise InvalidInput("An address carries no user and no password; use the credential for them.", path=path)
    return parts


def _origin(parts: SplitResult) -> str:
    host = parts.hostname or ""
    shown = f"[{host}]" if ":" in host else host
    port = parts.port
    return f"{parts.scheme}://{shown}" + (f":{port}" if port not in {None, _DEFAULT_PORTS[parts.scheme]} else "")
