"""The settings of connections, as they are shown and as they are given."""

from __future__ import annotations

from typing import Annotated, TypeAlias, cast

import strawberry

from domain import connections as domain
from domain.connections import HttpAuthScheme
from gql.absent import ABSENT, or_none
from gql.connection_prices import ModelPrice, ModelPriceInput
from gql.enums import expose

expose(
    HttpAuthScheme,
    description="How a credential is sent.",
    values={
        HttpAuthScheme.BASIC: "User and password.",
        HttpAuthScheme.BEARER: "A token in `Authorization: Bearer`.",
        HttpAuthScheme.HEADER: "A header of its own.",
        HttpAuthScheme.QUERY: "A parameter of the URL.",
    },
)


@strawberry.type(description="A model API in the manner of OpenAI's.")
class OpenaiCompatibleSettings:
    """A model API in the manner of OpenAI's."""

    base_url: str = strawberry.field(description="Its address up to and with `/v1`.")
    default_model: str | None = strawberry.field(description="The model that is used where a node names none.")
    prices: list[ModelPrice] = strawberry.field(description="What its models cost; at most 200.")


@strawberry.type(description="A PostgreSQL database.")
class PostgresSettings:
    """A PostgreSQL database."""

    host: str = strawberry.field(description="Its host.")
    port: int = strawberry.field(description="Its port.")
    database: str = strawberry.field(description="The database's name.")
    username: str | None = strawberry.field(description="The role that signs in.")
    is_tls_verified: bool = strawberry.field(
        description="Whether the connection is encrypted and the certificate checked."
    )


@strawberry.type(description="A credential for HTTP requests.")
class HttpAuthSettings:
    """A credential for HTTP requests."""

    scheme: HttpAuthScheme = strawberry.field(description="How it is sent.")
    username: str | None = strawberry.field(description="The user of BASIC.")
    parameter: str | None = strawberry.field(description="The header or parameter of HEADER and QUERY.")
    allowed_origins: list[str] = strawberry.field(
        description="The origins it is sent to, such as `https://api.example.com`; at most 20."
    )


ConnectionSettings: TypeAlias = Annotated[
    OpenaiCompatibleSettings | PostgresSettings | HttpAuthSettings,
    strawberry.union(
        "ConnectionSettings",
        description="Where an endpoint is and how it is used. Equal field names have equal types in all members.",
    ),
]


def show_settings(
    settings: domain.ConnectionSettings,
) -> OpenaiCompatibleSettings | PostgresSettings | HttpAuthSettings:
    """Convert settings of the domain."""
    if isinstance(settings, domain.OpenaiCompatibleSettings):
        return OpenaiCompatibleSettings(
            base_url=settings.base_url,
            default_model=settings.default_model,
            prices=[ModelPrice.of(named) for named in settings.prices],
        )
    if isinstance(settings, domain.PostgresSettings):
        return PostgresSettings(
            host=settings.host,
            port=settings.port,
            database=settings.database,
            username=settings.username,
            is_tls_verified=settings.is_tls_verified,
        )
    return HttpAuthSettings(
        scheme=settings.scheme,
        username=settings.username,
        parameter=settings.parameter,
        allowed_origins=list(settings.allowed_origins),
    )


@strawberry.input(description="A model API in the manner of OpenAI's.")
class OpenaiCompatibleSettingsInput:
    """A model API in the manner of OpenAI's."""

    base_url: str = strawberry.field(description="Its address up to and with `/v1`.")
    api_key: str | None = strawberry.field(default=ABSENT, description="Its key; it cannot be read again.")
    default_model: str | None = strawberry.field(
        default=ABSENT, description="The model that is used where a node names none."
    )
    prices: list[ModelPriceInput] | None = strawberry.field(
        default=ABSENT, description="What its models cost; at most 200."
    )


@strawberry.input(description="A PostgreSQL database.")
class PostgresSettingsInput:
    """A PostgreSQL database."""

    host: str = strawberry.field(description="Its host; sockets and this server's own database are refused.")
    port: int = strawberry.field(default=5432, description="Its port.")
    database: str = strawberry.field(description="The database's name.")
    username: str | None = strawberry.field(default=ABSENT, description="The role that signs in.")
    password: str | None = strawberry.field(default=ABSENT, description="Its password; it cannot be read again.")
    is_tls_verified: bool = strawberry.field(
        default=True, description="Whether the connection is encrypted and the certificate checked."
    )


@strawberry.input(description="A credential for HTTP requests.")
class HttpAuthSettingsInput:
    """A credential for HTTP requests."""

    scheme: HttpAuthScheme = strawberry.field(description="How it is sent.")
    username: str | None = strawberry.field(default=ABSENT, description="The user of BASIC.")
    parameter: str | None = strawberry.field(default=ABSENT, description="The header or parameter of HEADER and QUERY.")
    credential: str | None = strawberry.field(
        default=ABSENT, description="The password, token or value; it cannot be read again."
    )
    allowed_origins: list[str] = strawberry.field(description="The origins it is sent to, 1 to 20.")


@strawberry.input(one_of=True, description="Where an endpoint is, how it is used and its credential.")
class ConnectionSettingsInput:
    """Where an endpoint is, how it is used and its credential."""

    openai_compatible: strawberry.Maybe[OpenaiCompatibleSettingsInput] = strawberry.field(
        description="A model API in the manner of OpenAI's."
    )
    postgres: strawberry.Maybe[PostgresSettingsInput] = strawberry.field(description="A PostgreSQL database.")
    http_auth: strawberry.Maybe[HttpAuthSettingsInput] = strawberry.field(description="A credential for HTTP requests.")


def removes_credential(given: ConnectionSettingsInput) -> bool:
    """Tell whether the credential is given as null, which is not the same as leaving it out."""
    if given.openai_compatible:
        return given.openai_compatible.value.api_key is None
    if given.postgres:
        return given.postgres.value.password is None
    return given.http_auth is not None and given.http_auth.value.credential is None


def read_settings(given: ConnectionSettingsInput) -> tuple[domain.ConnectionSettings, str | None]:
    """Convert settings to those of the domain, and the credential apart from them."""
    if given.openai_compatible:
        openai = given.openai_compatible.value
        prices = tuple(price.read() for price in or_none(openai.prices) or ())
        model = domain.OpenaiCompatibleSettings(openai.base_url, or_none(openai.default_model), prices)
        return model, or_none(openai.api_key)
    if given.postgres:
        postgres = given.postgres.value
        settings = domain.PostgresSettings(
            postgres.host, postgres.port, postgres.database, or_none(postgres.username), postgres.is_tls_verified
        )
        return settings, or_none(postgres.password)
    # `@oneOf`: exactly one of the three is there.
    http = cast("strawberry.Some[HttpAuthSettingsInput]", given.http_auth).value
    settings = domain.HttpAuthSettings(
        http.scheme, tuple(http.allowed_origins), or_none(http.username), or_none(http.parameter)
    )
    return settings, or_none(http.credential)
