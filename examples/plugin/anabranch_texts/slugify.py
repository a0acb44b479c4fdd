"""SLUGIFY: a text as it may stand in a web address."""

from __future__ import annotations

import re
import unicodedata
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from anabranch import Config, ErrorCode, NodeContext, NodeFault, NodeKind, Output, Result


class SlugSeparator(StrEnum):
    """What stands between the words of a slug."""

    HYPHEN = "HYPHEN"
    """`-`"""
    UNDERSCORE = "UNDERSCORE"
    """`_`"""


_SIGNS = {SlugSeparator.HYPHEN: "-", SlugSeparator.UNDERSCORE: "_"}


class SlugifyConfig(Config):
    """A slug of a text; output `slug`. Pure."""

    heading: Annotated[str, Field(max_length=10_000)]
    """Template of the text."""
    separator: SlugSeparator = SlugSeparator.HYPHEN
    """What stands between the words."""
    max_length: Annotated[int, Field(ge=1, le=200)] = 80
    """The longest slug; it is cut after a whole word where there is one."""


class SlugifyOutput(Output):
    """The slug of a text."""

    slug: str
    """Lower-case letters and digits, words parted by the separator."""


async def run(config: SlugifyConfig, ctx: NodeContext) -> Result:
    """Return the slug.

    Raises:
        NodeFault: `NOTHING_LEFT`.
    """
    del ctx
    plain = unicodedata.normalize("NFKD", config.heading).encode("ascii", "ignore").decode().lower()
    words = re.findall(r"[a-z0-9]+", plain)
    if not words:
        raise NodeFault("NOTHING_LEFT", f"{config.heading[:40]!r} has no letter or digit that a slug could keep.")
    return Result(SlugifyOutput(slug=_joined(words, _SIGNS[config.separator], config.max_length)))


def _joined(words: list[str], sign: str, longest: int) -> str:
    slug = words[0][:longest]
    for word in words[1:]:
        if len(slug) + len(sign) + len(word) > longest:
            break
        slug += sign + word
    return slug


KIND = NodeKind(
    kind="SLUGIFY",
    name="slugify",
    title="Slugify",
    description="Make of a text what may stand in a web address.",
    config=SlugifyConfig,
    output=SlugifyOutput,
    run=run,
    error_codes=(ErrorCode("NOTHING_LEFT", "The text has no letter or digit.", is_retryable=False),),
    is_idempotent=True,
    is_pure=True,
)
