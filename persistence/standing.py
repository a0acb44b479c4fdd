"""Whether a caller may still do what the request was let in for: asked again in the transaction that does it.

The rows are held until its end. So what ends a session or a key, or takes a role away, either waits and comes after, or is
seen here. One holds them at a time, and whoever waits has a turn: deeds that overlap would keep a shared row from its end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from domain.errors import Forbidden, NotFound, Unauthenticated
from domain.identity import Role

if TYPE_CHECKING:
    from domain.audit import Deed
    from domain.ids import WorkspaceId
    from persistence.uses import Fetch

_SESSION: Final = "SELECT 1 FROM sessions WHERE id = $1 AND ended_at IS NULL AND expires_at > $2"
_KEY: Final = """
SELECT 1 FROM api_keys
 WHERE id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)
   AND (token_hash = $3 OR (old_hash = $3 AND old_until > $2))
"""
_ROLE: Final = "SELECT role FROM members WHERE workspace_id = $1 AND user_id = $2"
_HELD: Final = " FOR NO KEY UPDATE"
_RANK: Final = {role: rank for rank, role in enumerate(Role)}


async def check_standing(
    fetch: Fetch, deed: Deed, workspace_id: WorkspaceId | None = None, *, is_held: bool = True
) -> None:
    """Check that a caller's credential stands, and that the role in a workspace that is given is no smaller than it was.

    The session or key is held before the membership. Whoever holds a workspace, or keys that are to change, as well does that
    first, and whoever changes members does it behind this; else two could wait for each other. What takes long asks without
    holding anything (`is_held`).

    Raises:
        Unauthenticated: the session or key has ended since the request was let in.
        Forbidden: the role was made smaller.
        NotFound: the caller is not a member any more.
    """
    actor, held = deed.by, _HELD if is_held else ""
    if actor is None:
        return
    if actor.api_key_id is None:
        found = await fetch(_SESSION + held, actor.session_id, deed.at)
    else:
        found = await fetch(_KEY + held, actor.api_key_id, deed.at, actor.key_hash)
    if not found:
        raise Unauthenticated("The session or API key has ended.")
    if workspace_id is None:
        return
    rows = await fetch(_ROLE + held, workspace_id, actor.user.id)
    if not rows:
        raise NotFound
    if _RANK[Role(rows[0]["role"])] > _RANK[actor.roles[workspace_id]]:
        raise Forbidden("Your role in the workspace was changed this moment.")
