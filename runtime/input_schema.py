"""JSON Schemas of workflows' inputs: compiled without any reach to the outside, and told apart from what is none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

import jsonschema_rs

from domain.errors import InvalidInput

if TYPE_CHECKING:
    from domain.json_value import Json

_SHOWN: Final = 300
# Patterns that take linear time: a schema is as hostile as its author.
_PATTERNS: Final = jsonschema_rs.RegexOptions()


def compile_schema(schema: Json) -> jsonschema_rs.Validator:
    """Return what validates inputs; references to other documents are not followed.

    Raises:
        InvalidInput: no JSON Schema, or one that needs something from outside.
    """
    path = ["input", "inputSchema"]
    if not isinstance(schema, dict | bool):
        raise InvalidInput("A JSON Schema is an object or a boolean.", path=path)
    try:
        return jsonschema_rs.validator_for(
            cast("dict[str, Any] | bool", schema), offline=True, pattern_options=_PATTERNS
        )
    except jsonschema_rs.ValidationError as error:
        steps = [*path, *(str(step) for step in error.instance_path)]
        raise InvalidInput(f"This is no JSON Schema: {error.message[:_SHOWN]}.", path=steps) from error
    except jsonschema_rs.ReferencingError as error:
        message = f"The JSON Schema cannot be resolved: {str(error)[:_SHOWN]}."
        raise InvalidInput(message, path=path) from error
    except ValueError as error:
        raise InvalidInput(f"This is no JSON Schema: {str(error)[:_SHOWN]}.", path=path) from error


def check_input(schema: Json, given: Json) -> None:
    """Check the input of a run against its workflow's schema; None takes anything.

    Raises:
        InvalidInput: the first of what does not fit, with the path to it.
    """
    if schema is None:
        return
    for error in compile_schema(schema).iter_errors(cast("Any", given)):
        path = ["input", "input", *(str(step) for step in error.instance_path)]
        raise InvalidInput(f"The input does not satisfy the workflow's schema: {error.message[:_SHOWN]}.", path=path)
