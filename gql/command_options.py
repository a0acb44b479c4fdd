"""What the commands of `anabranch` share: options with their variables, settings, the server they speak to."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from pydantic import BaseModel, ValidationError
from pydantic_settings import SettingsError

from domain.errors import SetupFault
from runtime.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from gql.commands.target import Target

Result = TypeVar("Result")
_GROUP = re.compile(r'parsing value for field "(\w+)"')


def option(names: str, variable: str, text: str, **more: Any) -> Any:
    """Return an option; every one has its environment variable, shown in its help."""
    return typer.Option(*names.split(), envvar=f"ANABRANCH_{variable}", help=text, show_envvar=True, **more)


Url = Annotated[
    str | None,
    option("--url", "URL", "The server; if absent a running `dev`, else the last login, else http://127.0.0.1:8000."),
]
ApiKey = Annotated[str | None, option("--api-key", "API_KEY", "A key or access token instead of the stored login.")]
DataDir = Annotated[
    Path | None, option("--data-dir", "DATA_DIR", "Where the embedded database and the keys lie; `data` if absent.")
]
DatabaseUrl = Annotated[
    str | None, option("--database-url", "DATABASE_URL", "An outside PostgreSQL; the embedded one if absent.")
]
Port = Annotated[
    int | None, option("--port", "PORT", "The port to listen on; 8000 if absent, 0 = a free one.", min=0, max=65_535)
]
RunId = Annotated[str, typer.Argument(help="The run's id, such as run_01jd4v…", show_default=False)]
IsJson = Annotated[bool, option("--json", "JSON", "Print JSON for programs instead of a table.")]


def settings(**given: Any) -> Settings:
    """Return the settings with the options that were given.

    Raises:
        SetupFault: a variable has no acceptable value.
    """
    try:
        return (
            Settings.model_validate({}) if not given else Settings(**{k: v for k, v in given.items() if v is not None})
        )  # pyright: ignore[reportArgumentType]
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise SetupFault(_refused(first["loc"], first["msg"])) from error
    except SettingsError as error:
        raise SetupFault(_refused((), str(error))) from error


def _refused(loc: Sequence[str | int], message: str) -> str:
    """Name the variable, what is wrong with it and what it holds."""
    if not loc and (group := _GROUP.search(message)):  # a whole group in one variable, such as `ANABRANCH_LLM`
        loc, message = (group[1],), f"it is no JSON; set one by one what begins with ANABRANCH_{group[1].upper()}__"
    steps, model, field = list(loc), Settings, None
    names = ["ANABRANCH_"]
    while steps and isinstance(model, type) and issubclass(model, BaseModel) and steps[0] in model.model_fields:
        field = model.model_fields[str(steps[0])]
        names.append(f"{'__' if len(names) > 1 else ''}{str(steps.pop(0)).upper()}")
        model = field.annotation
    place = f" at {'.'.join(map(str, steps))}" if steps else ""
    described = f" {field.description}" if field is not None and field.description else ""
    return f"{''.join(names)} is not acceptable{place}: {message.removeprefix('Value error, ')}.{described}"


def target(url: str | None, api_key: str | None, data_dir: Path | None) -> Target:
    """Return the server that a command speaks to.

    Raises:
        SetupFault: a variable has no acceptable value.
    """
    from gql.commands.target import Target  # noqa: PLC0415

    return Target(url, api_key, settings(data_dir=data_dir).data_dir)


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run what a command does to its end; a signal cancels it in good order."""
    from gql.commands.loop import run as run_to_end  # noqa: PLC0415

    return run_to_end(work)
