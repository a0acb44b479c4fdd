"""What is acceptable as vectors, checked before anything is written or searched."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from domain.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from persistence.vectors.faiss_index import Floats


def check_vectors(vectors: Floats, dimension: int, path: Sequence[str], *, count: int | None = None) -> None:
    """Refuse what is not `(count, dimension)` finite float32.

    Raises:
        InvalidInput: it is not; the message says in what.
    """
    if vectors.ndim != 2 or not vectors.shape[1] or vectors.shape[1] != dimension:  # noqa: PLR2004 -- rows of vectors
        got = vectors.shape[-1] if vectors.ndim else 0
        raise InvalidInput(f"The vectors have {got} numbers; the collection's have {dimension}.", path=path)
    if count is not None and len(vectors) != count:
        raise InvalidInput(f"There are {len(vectors)} vectors for {count} chunks.", path=path)
    if vectors.dtype != np.float32:
        raise InvalidInput(f"The vectors are {vectors.dtype}; float32 is wanted.", path=path)
    if not bool(np.isfinite(vectors).all()):
        raise InvalidInput("A vector holds a number that is not finite.", path=path)
