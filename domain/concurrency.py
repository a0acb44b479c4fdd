"""The key under which runs of a workflow share the turns of its `concurrency`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from domain.errors import InvalidInput, NodeFault, TemplateFault
from domain.expressions import compile_template
from domain.json_codec import encode_as
from domain.texts import check_text

if TYPE_CHECKING:
    from domain.json_value import Json
    from domain.workflow import ConcurrencyPolicy

MAX_KEY: Final = 256
TOGETHER: Final = ""
"""The key of all runs where the policy has none."""


def concurrency_key(policy: ConcurrencyPolicy, given: Json) -> str:
    """Return the key of a run with this input; what is no text becomes JSON.

    Raises:
        TemplateFault: the policy's key cannot be rendered from this input, or is longer than 256 characters.
    """
    if policy.key is None:
        return TOGETHER
    rendered = compile_template(policy.key).render({"input": given})
    try:
        key = rendered if isinstance(rendered, str) else encode_as("value", "INVALID_KEY", rendered).decode()
        return check_text(key, [], limit=MAX_KEY)
    except (InvalidInput, NodeFault) as fault:
        raise TemplateFault(f"It gives what cannot be a key: {fault.message}") from fault
