"""Trusted documents: a list of texts that clients ask for by their hash, and may be held to."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, cast

from domain.errors import SetupFault
from gql.presenting import refusal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from graphql import GraphQLError

    from runtime.settings import ApiSettings


_PREFIX = "sha256:"
"""What may stand before a hash, in the list and in a request, by the draft of GraphQL over HTTP."""


class Untrusted(Exception):
    """The document is not to be had, or not to be executed."""

    def __init__(self, error: GraphQLError) -> None:
        super().__init__(error.message)
        self.error = error


class TrustedDocuments:
    """The documents of a list; nothing is added while the server runs."""

    def __init__(self, texts: Mapping[str, str], *, is_only: bool) -> None:
        self._texts = texts
        self._is_only = is_only

    def text_of(
        self, query: str | None, document_id: object = None, extensions: Mapping[str, object] | None = None
    ) -> str | None:
        """Return the text to be executed; None if the request names none in any way.

        Raises:
            Untrusted: the document is unknown, is not the one it is said to be, or may not be sent as text.
        """
        hash_ = _asked_hash(document_id, extensions)
        if query:
            if hash_ is not None or self._is_only:
                self._check(query, hash_)
            return query
        if hash_ is None:
            return query
        text = self._texts.get(hash_)
        if text is None:
            # Apollo's clients know these words and codes: after the first they send the text, after the second always.
            code = "PERSISTED_QUERY_NOT_FOUND" if self._texts else "PERSISTED_QUERY_NOT_SUPPORTED"
            raise Untrusted(refusal("PersistedQueryNotFound" if self._texts else "PersistedQueryNotSupported", code))
        return text

    def _check(self, query: str, said: str | None) -> None:
        hash_ = sha256(query)
        if said is not None and said != hash_:
            raise Untrusted(refusal("The document does not have the hash that is sent with it.", "BAD_REQUEST"))
        if self._is_only and hash_ not in self._texts:
            raise Untrusted(refusal("Only trusted documents are executed, and this is none of them.", "FORBIDDEN"))


def load_trusted(limits: ApiSettings) -> TrustedDocuments:
    """Return the documents that the settings name; none where they name no file.

    Raises:
        SetupFault: the file cannot be read, or is not `{sha256: document}`.
    """
    path = limits.trusted_documents
    if path is None:
        if limits.is_trusted_only:
            raise SetupFault("ANABRANCH_API__IS_TRUSTED_ONLY needs a list in ANABRANCH_API__TRUSTED_DOCUMENTS.")
        return TrustedDocuments({}, is_only=False)
    return TrustedDocuments(_read(path), is_only=limits.is_trusted_only)


def sha256(text: str) -> str:
    """Return what a document is asked for by."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def _read(path: Path) -> dict[str, str]:
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SetupFault(f"Cannot read the trusted documents in {path}: {error}.") from error
    if not isinstance(given, dict):
        raise SetupFault(f"{path} must be a JSON object: the SHA-256 of each document, and the document.")
    texts: dict[str, str] = {}
    for name, text in cast("dict[str, object]", given).items():
        hash_ = name.removeprefix(_PREFIX)
        if not isinstance(text, str) or sha256(text) != hash_:
            raise SetupFault(f"{path}: {name!r} is not the SHA-256, in lower-case hex, of its document.")
        texts[hash_] = text
    return texts


def _asked_hash(document_id: object, extensions: Mapping[str, object] | None) -> str | None:
    """Return the hash a request brings: as `documentId`, or in Apollo's extension; of another kind, one that none has."""
    if document_id is not None:
        return document_id.removeprefix(_PREFIX) if isinstance(document_id, str) else ""
    asked = (extensions or {}).get("persistedQuery")
    if not isinstance(asked, dict):
        return None
    hash_ = cast("dict[str, object]", asked).get("sha256Hash")
    return hash_ if isinstance(hash_, str) else ""
