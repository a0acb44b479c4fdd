"""What `.env.example` must say: every setting with its docstring and its default; `make env-example` writes it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from pydantic import BaseModel

from runtime.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo

HEAD = """\
# Settings of Anabranch, each with its default. Copy this file to `.env` and take the `# ` away in front of what you
# change; environment variables of the same names win. Made from runtime/settings.py by `make env-example`.
"""


def settings_of(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, FieldInfo, object]]:
    """Yield the variable, the field and the default of every setting; those of nested groups come last."""
    groups: list[tuple[str, type[BaseModel]]] = []
    for name, field in model.model_fields.items():
        default: object = field.get_default(call_default_factory=True, validated_data={})
        if isinstance(default, BaseModel):
            groups.append((f"{prefix}{name.upper()}__", type(default)))
        else:
            yield f"{prefix}{name.upper()}", field, default
    for group_prefix, group in groups:
        yield from settings_of(group, group_prefix)


def written(default: object) -> str:
    """Write a default as a variable would give it; absent and empty are the same."""
    if default is None or default == ():
        return ""
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, tuple):
        return ",".join(str(part) for part in default)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return str(default)


def env_example() -> str:
    """Return the whole file."""
    parts = [HEAD]
    for variable, field, default in settings_of(Settings, "ANABRANCH_"):
        parts.append(f"# {field.description}\n# {variable}={written(default)}\n")
    return "\n".join(parts)


if __name__ == "__main__":
    sys.stdout.write(env_example())
