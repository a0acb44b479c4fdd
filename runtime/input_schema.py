"""JSON Schemas of workflows' inputs: compiled without any reach to the outside, and told apart from what is none."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final, cast

import jsonschema_rs

from domain.errors import InvalidFields, InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from domain.json_value import Json

MAX_FAULTS: Final = 100
_SHOWN: Final = 300
_MAX_ALTERNATIVES: Final = 5
_MAX_COMPARED: Final = 20_000
"""Up to this product of the sizes of schema and input everything that is wrong is looked for."""
# Patterns that take linear time: a schema is as hostile as its author.
_PATTERNS: Final = jsonschema_rs.RegexOptions()
_VALUE: Final = "it"
"""What messages say instead of the value, which may be long or nobody else's business."""


def compile_schema(schema: Json) -> jsonschema_rs.Validator:
    """Return what validates inputs, formats included; references to other documents are not followed.

    Raises:
        InvalidInput: no JSON Schema, or one that needs something from outside.
    """
    path = ["input", "inputSchema"]
    if not isinstance(schema, dict | bool):
        raise InvalidInput("A JSON Schema is an object or a boolean.", path=path)
    try:
        return jsonschema_rs.validator_for(
            cast("dict[str, Any] | bool", schema),
            offline=True,
            pattern_options=_PATTERNS,
            validate_formats=True,
            mask=_VALUE,
        )
    except jsonschema_rs.ValidationError as error:
        steps = [*path, *(str(step) for step in error.instance_path)]
        raise InvalidInput(f"This is no JSON Schema: {error.message[:_SHOWN]}.", path=steps) from error
    except jsonschema_rs.ReferencingError as error:
        message = f"The JSON Schema cannot be resolved: {str(error)[:_SHOWN]}."
        raise InvalidInput(message, path=path) from error
    except ValueError as error:
        raise InvalidInput(f"This is no JSON Schema: {str(error)[:_SHOWN]}.", path=path) from error


def settled_input(schema: Json, given: Json) -> Json:
    """Return the input of a run that satisfies its workflow's schema; where none was given, null or else {}.

    No default of the schema is filled in. A workflow without a schema takes anything.

    Raises:
        InvalidFields: what does not fit, each with the path to it, 100 at most.
    """
    if schema is None:
        return given
    if given is None and not compile_schema(schema).is_valid(None):
        given = {}
    check_input(schema, given)
    return given


def check_input(schema: Json, given: Json) -> None:
    """Check the input of a run against its workflow's schema; None takes anything.

    Raises:
        InvalidFields: what does not fit, each with the path to it, 100 at most.
    """
    if schema is not None:
        _check(schema, given, "input", "The input does not satisfy the workflow's schema")


def check_values(form: Json, values: Json) -> None:
    """Check the values of an answer against the form of its question.

    Raises:
        InvalidFields: what does not fit, each with the path to it, 100 at most.
    """
    _check(form, values, "values", "The values do not satisfy the form")


def _check(schema: Json, given: Json, field: str, told: str) -> None:
    faults: list[InvalidInput] = []
    for steps, message in islice(_faults(schema, given), MAX_FAULTS):
        # A terminal shows the message alone.
        place = f"{'.'.join(steps)[:_SHOWN]}: " if steps else ""
        faults.append(InvalidInput(f"{told}: {place}{message[:_SHOWN]}.", path=["input", field, *steps]))
    if faults:
        raise InvalidFields(faults)


def _faults(schema: Json, given: Json) -> Iterator[tuple[list[str], str]]:
    for error in _errors(schema, given):
        steps, more = [str(step) for step in error.instance_path], error.kind.as_dict()
        match error.kind.name:
            case "required":
                yield [*steps, more["property"]], "it is required and missing"
            case "additionalProperties" | "unevaluatedProperties":
                yield from (([*steps, name], "there is no such property") for name in more["unexpected"])
            case "anyOf" | "oneOf":
                yield steps, _alternatives(more["context"], len(steps))
            case _:
                yield steps, error.message


def _errors(schema: Json, given: Json) -> Iterable[jsonschema_rs.ValidationError]:
    """Return all that is wrong, or only the first of it where there may be very much.

    The library finds everything before it tells anything: 10 s of the event loop for 1 MiB of wrong numbers.
    """
    validator = compile_schema(schema)
    if _size(schema) * _size(given) <= _MAX_COMPARED:
        return validator.iter_errors(cast("Any", given))
    try:
        validator.validate(cast("Any", given))
    except jsonschema_rs.ValidationError as error:
        return [error]
    return ()


def _size(value: Json) -> int:
    """Count the values inside a value, itself included, as far as it matters."""
    count, waiting = 0, [value]
    while waiting and count <= _MAX_COMPARED:
        one = waiting.pop()
        count += 1
        waiting += one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
    return count


def _alternatives(branches: list[list[jsonschema_rs.ValidationError]], depth: int) -> str:
    """Tell what is wrong with each of the alternatives, of which one has to fit, for a value that is so deep inside."""
    if not all(branches):
        return f"{_VALUE} fits more than one of the alternatives, and has to fit exactly one"
    told: list[str] = []
    for first, *_ in branches[:_MAX_ALTERNATIVES]:
        place = ".".join(str(step) for step in first.instance_path[depth:])
        told.append(f"{place}: {first.message}" if place else first.message)
    more = "; …" if len(branches) > _MAX_ALTERNATIVES else ""
    return f"{_VALUE} fits none of the alternatives ({'; '.join(told)}{more})"
