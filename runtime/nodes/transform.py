"""TRANSFORM: values computed from others."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from domain.kinds import JSON_FIELD, STATIC, Config, NodeContext, NodeKind, Result


class TransformField(Config):
    """One computed value."""

    name: Annotated[str, STATIC, Field(min_length=1, max_length=256)]
    """Its name in the output."""
    value: Annotated[Any, JSON_FIELD] = None
    """Its value; texts inside are templates, and one that is exactly `{{ an expression }}` keeps its type."""


class TransformConfig(Config):
    """Values computed from others; output: an object with these fields. Pure."""

    fields: Annotated[list[TransformField], Field(max_length=100)]
    """The fields, in order, 100 at most."""

    @model_validator(mode="after")
    def _names_are_unique(self) -> TransformConfig:
        if len({field.name for field in self.fields}) != len(self.fields):
            raise ValueError("two fields have the same name")
        return self


async def run(config: TransformConfig, ctx: NodeContext) -> Result:
    """Return the fields as an object."""
    del ctx
    return Result({field.name: field.value for field in config.fields})


KIND = NodeKind(
    kind="TRANSFORM",
    name="transform",
    title="Transform",
    description="Compute values from the run's input and from what other nodes returned. Pure: it reaches nothing outside.",
    config=TransformConfig,
    output=None,
    run=run,
    is_idempotent=True,
    is_pure=True,
    nested=(TransformField,),
)
