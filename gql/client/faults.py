"""What a client of the API meets.

AnabranchError
└── ClientFault
    ├── ServerUnreachable
    ├── SignInNeeded
    └── RequestRefused        the server understood and said no; `code` is its stable code
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.errors import AnabranchError

if TYPE_CHECKING:
    from collections.abc import Sequence


class ClientFault(AnabranchError):
    """The server's answer is not one of Anabranch."""


class ServerUnreachable(ClientFault):
    """The server does not answer."""


class SignInNeeded(ClientFault):
    """Nobody is signed in at this server; run `anabranch login`, or set ANABRANCH_API_KEY."""


class RequestRefused(ClientFault):
    """The server refused the request."""

    def __init__(
        self,
        message: str,
        code: str,
        details: Sequence[str] = (),
        located: Sequence[tuple[int, int, str]] = (),
        told: Sequence[tuple[tuple[str, ...], str]] = (),
    ) -> None:
        super().__init__(message if not details else "\n  ".join([message, *details]))
        self.code = code
        self.located = tuple(located)
        """Of a file that was refused: line, column and what is wrong there."""
        self.told = tuple(told)
        """What the caller can correct: the way to each faulty argument, and what is wrong with it."""
