"""Which headers an author may set."""

from __future__ import annotations

import re

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")
_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")
# What decides where a message goes and where it ends is not an author's to set.
_OWN = frozenset({"host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer", "expect"})


def is_header_of_authors(name: str) -> bool:
    """Tell whether a header has a name that can be sent, and is not one that frames or routes the message."""
    lower = name.lower()
    return _NAME.fullmatch(name) is not None and lower not in _OWN and not lower.startswith("proxy-")


def is_header_value(value: str) -> bool:
    """Tell whether a value cannot be mistaken for the end of its header."""
    return _VALUE.fullmatch(value) is not None
