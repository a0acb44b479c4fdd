"""Users, workspaces, members, sessions and counted sign-ins in PostgreSQL."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import and_, delete, exists, func, insert, literal, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert as upsert

from domain.audit import AuditAction, Deed
from domain.errors import AlreadyExists, InvalidToken, NotFound
from domain.identity import Role, User, Workspace
from domain.ids import SessionId, UserId, WorkspaceId
from domain.ports.repositories import Account, NewSession
from persistence.audit import insert_everywhere
from persistence.invitations import invited_address, join_by_invitation
from persistence.paging import read_page
from persistence.standing import check_standing
from persistence.tables import members, refresh_tokens, sessions, sign_in_attempts, users, workspaces
from persistence.uses import through
from persistence.workspaces import add_workspace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Row
    from sqlalchemy.ext.asyncio import AsyncConnection

    from domain.ports.paging import Page, PageRequest
    from persistence.database import Database

# Keys of advisory locks, which serialise what no row can: the first sign-up, and the tries of one account.
_FIRST_ACCOUNT_LOCK = 4_201
_SWEEP = 100


class PostgresIdentity:
    """Implements `domain.ports.Identities`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def has_accounts(self) -> bool:
        """Tell whether anyone has signed up."""
        async with self._database.connection() as connection:
            return await _has_accounts(connection)

    async def add_account(
        self,
        account: Account,
        place: Workspace | bytes,
        session: NewSession,
        *,
        is_first_only: bool,
        deeds: Sequence[Deed] = (),
    ) -> None:
        """Make a user who is signed in, in one transaction: the owner of a new workspace, or a member by an invitation.

        The log of the workspace tells of `deeds`.

        Raises:
            AlreadyExists: the address is taken.
            InvalidToken: `is_first_only` and there is an account; or nobody with this address is invited by the token.
            LimitExceeded: the workspace has as many members as it may.
        """
        user = account.user
        async with self._database.connection() as connection:
            if is_first_only:
                # Two people with the same set-up link: the second one waits here and then sees the first.
                await connection.execute(select(func.pg_advisory_xact_lock(_FIRST_ACCOUNT_LOCK)))
                if await _has_accounts(connection):
                    raise InvalidToken
            added = await connection.execute(
                upsert(users)
                .values(
                    id=user.id,
                    email=user.email,
                    name=user.name,
                    password_hash=account.password_hash,
                    created_at=user.created_at,
                )
                .on_conflict_do_nothing(index_elements=[users.c.email])
                .returning(users.c.id)
            )
            if added.first() is None:
                raise AlreadyExists("There is an account with this address.", path=["input", "email"])
            if isinstance(place, Workspace):
                await add_workspace(connection, place, user.id)
            else:
                await join_by_invitation(connection, place, user.id, user.email or "", user.created_at)
            await _insert_session(connection, user.id, session, user.created_at)
            for deed in deeds:
                await insert_everywhere(through(connection), deed)

    async def invited_address(self, token_hash: bytes, now: datetime) -> str:
        """Return the address that an open invitation is meant for.

        Raises:
            InvalidToken: unknown, used, expired or withdrawn.
        """
        async with self._database.single() as connection:
            return (await invited_address(connection, token_hash, now))[1]

    async def find_account(self, email: str) -> Account | None:
        """Find an account by its case-folded address."""
        async with self._database.connection() as connection:
            row = (await connection.execute(select(users).where(users.c.email == email))).first()
        return _account(row) if row else None

    async def get_account(self, user_id: UserId) -> Account:
        """Get an account.

        Raises:
            NotFound: it is gone.
        """
        async with self._database.connection() as connection:
            row = (await connection.execute(select(users).where(users.c.id == user_id))).first()
        if row is None:
            raise NotFound
        return _account(row)

    async def save_hash(self, user_id: UserId, old: str, new: str) -> None:
        """Store another hash of the same password, unless the password changed meanwhile."""
        async with self._database.connection() as connection:
            await connection.execute(
                update(users).where(users.c.id == user_id, users.c.password_hash == old).values(password_hash=new)
            )

    async def save_password(
        self,
        user_id: UserId,
        old: str,
        new: str,
        *,
        keep: SessionId | None,
        now: datetime,
        deed: Deed | None = None,
    ) -> bool:
        """Store a new password's hash and end all sessions but `keep`; False when the password changed meanwhile.

        Raises:
            Unauthenticated: the caller's session has ended since the request was let in.
        """
        async with self._database.connection() as connection:
            saved = await connection.execute(
                update(users)
                .where(users.c.id == user_id, users.c.password_hash == old)
                .values(password_hash=new)
                .returning(users.c.id)
            )
            if saved.first() is None:
                return False
            ended = update(sessions).where(sessions.c.user_id == user_id, sessions.c.ended_at.is_(None))
            if keep is not None:
                ended = ended.where(sessions.c.id != keep)
            if deed is not None:
                await check_standing(through(connection), deed)
                await insert_everywhere(through(connection), deed)
            await connection.execute(ended.values(ended_at=now))
        return True

    async def add_session(
        self, account: Account, session: NewSession, now: datetime, *, deed: Deed | None = None
    ) -> bool:
        """Begin a session; False when the password changed since the account was read."""
        user_id = account.user.id
        async with self._database.connection() as connection:
            # The lock on the row: a password change either waits and then ends this session as well, or was first.
            unchanged = await connection.execute(
                select(users.c.id)
                .where(users.c.id == user_id, users.c.password_hash == account.password_hash)
                .with_for_update(read=True)
            )
            if unchanged.first() is None:
                return False
            await connection.execute(delete(sessions).where(sessions.c.user_id == user_id, sessions.c.expires_at < now))
            await _insert_session(connection, user_id, session, now)
            if deed is not None:
                await insert_everywhere(through(connection), deed)
        return True

    async def trade_refresh_token(
        self, used: bytes, made: bytes, now: datetime, expires_at: datetime, *, address: str | None = None
    ) -> tuple[UserId, SessionId] | None:
        """Replace a refresh token, given as hashes; a token that was used before ends its session. None = refused.

        `address` is where it came from, for the log of who comes with a used one.
        """
        async with self._database.connection() as connection:
            found = (
                await connection.execute(
                    select(refresh_tokens, sessions.c.user_id, sessions.c.ended_at)
                    .join(sessions, sessions.c.id == refresh_tokens.c.session_id)
                    .where(refresh_tokens.c.token_hash == used)
                    .with_for_update()
                )
            ).first()
            if found is None or found.ended_at is not None or found.expires_at <= now:
                return None
            if found.used_at is not None:
                await connection.execute(update(sessions).where(sessions.c.id == found.session_id).values(ended_at=now))
                deed = Deed(AuditAction.REFRESH_REUSED, now, UserId(found.user_id), address=address)
                await insert_everywhere(through(connection), deed)
                return None
            await connection.execute(
                update(refresh_tokens).where(refresh_tokens.c.token_hash == used).values(used_at=now)
            )
            await connection.execute(
                delete(refresh_tokens).where(
                    refresh_tokens.c.session_id == found.session_id, refresh_tokens.c.expires_at < now
                )
            )
            await connection.execute(
                insert(refresh_tokens).values(
                    token_hash=made, session_id=found.session_id, created_at=now, expires_at=expires_at
                )
            )
            await connection.execute(
                update(sessions).where(sessions.c.id == found.session_id).values(expires_at=expires_at)
            )
        return UserId(found.user_id), SessionId(found.session_id)

    async def end_sessions(
        self, user_id: UserId, only: SessionId | None, now: datetime, *, deed: Deed | None = None
    ) -> int:
        """End one session or all of a user's; return how many ended."""
        statement = update(sessions).where(
            sessions.c.user_id == user_id, sessions.c.ended_at.is_(None), sessions.c.expires_at > now
        )
        if only is not None:
            statement = statement.where(sessions.c.id == only)
        async with self._database.connection() as connection:
            # Sign-outs and new passwords of one person come one after the other, or two could wait for each other.
            await connection.execute(select(users.c.id).where(users.c.id == user_id).with_for_update(key_share=True))
            ended = (await connection.execute(statement.values(ended_at=now).returning(sessions.c.id))).all()
            if deed is not None:
                await insert_everywhere(through(connection), deed)
            return len(ended)

    async def find_caller(
        self, user_id: UserId, session_id: SessionId, now: datetime
    ) -> tuple[User, Mapping[WorkspaceId, Role]] | None:
        """Find who a session belongs to and the roles, in one statement; None when the session has ended."""
        statement = (
            select(users, members.c.workspace_id, members.c.role)
            .join(sessions, and_(sessions.c.user_id == users.c.id))
            .outerjoin(members, members.c.user_id == users.c.id)
            .where(
                users.c.id == user_id,
                sessions.c.id == session_id,
                sessions.c.ended_at.is_(None),
                sessions.c.expires_at > now,
            )
        )
        async with self._database.connection() as connection:
            rows = (await connection.execute(statement)).all()
        if not rows:
            return None
        roles = {WorkspaceId(row.workspace_id): Role(row.role) for row in rows if row.workspace_id is not None}
        return _user(rows[0]), roles

    async def list_users(self, user_ids: Sequence[UserId], within: frozenset[WorkspaceId]) -> Sequence[User]:
        """List users in any order, without the address of those who are members of none of the workspaces."""
        is_shared = exists(
            select(literal(1)).where(members.c.user_id == users.c.id, members.c.workspace_id.in_(within))
        ).label("is_shared")
        statement = select(users, is_shared).where(users.c.id.in_(user_ids))
        async with self._database.connection() as connection:
            rows = (await connection.execute(statement)).all()
        return [_user(row) if row.is_shared else _user(row, email=None) for row in rows]

    async def list_workspaces(
        self, workspace_ids: Sequence[WorkspaceId], within: frozenset[WorkspaceId]
    ) -> Sequence[Workspace]:
        """List those of the workspaces that are within, in any order."""
        wanted = within.intersection(workspace_ids)
        async with self._database.connection() as connection:
            rows = (await connection.execute(select(workspaces).where(workspaces.c.id.in_(wanted)))).all()
        return [_workspace(row) for row in rows]

    async def page_workspaces(self, within: frozenset[WorkspaceId], page: PageRequest) -> Page[Workspace]:
        """Read a page of workspaces by name."""
        statement = select(workspaces).where(workspaces.c.id.in_(within))
        async with self._database.connection() as connection:
            return await read_page(
                connection, statement, [(workspaces.c.name, str), (workspaces.c.id, UUID)], page, _workspace
            )

    async def count_attempt(self, account: str, address: str, now: datetime, window_s: float, limit: int) -> bool:
        """Count a try; False when `limit` tries were made in the window before it."""
        since = now - timedelta(seconds=window_s)
        table = sign_in_attempts
        async with self._database.connection() as connection:
            # Tries of one account from one address come one after the other, or twenty at once would all see none.
            key = func.hashtextextended(f"{account} {address}", 0)
            await connection.execute(select(func.pg_advisory_xact_lock(key)))
            old = select(table.c.account, table.c.address, table.c.at).where(table.c.at < since).limit(_SWEEP)
            await connection.execute(
                delete(table).where(
                    tuple_(table.c.account, table.c.address, table.c.at).in_(old.with_for_update(skip_locked=True))
                )
            )
            counted = await connection.execute(
                select(func.count()).where(table.c.account == account, table.c.address == address, table.c.at >= since)
            )
            if counted.scalar_one() >= limit:
                return False
            await connection.execute(insert(table).values(account=account, address=address, at=now))
        return True

    async def forget_attempts(self, account: str, address: str) -> None:
        """Forget the tries of an account from an address."""
        table = sign_in_attempts
        async with self._database.connection() as connection:
            await connection.execute(delete(table).where(table.c.account == account, table.c.address == address))


async def _has_accounts(connection: AsyncConnection) -> bool:
    return bool((await connection.execute(select(exists(select(users.c.id))))).scalar_one())


async def _insert_session(connection: AsyncConnection, user_id: UserId, session: NewSession, now: datetime) -> None:
    await connection.execute(
        insert(sessions).values(id=session.id, user_id=user_id, created_at=now, expires_at=session.expires_at)
    )
    await connection.execute(
        insert(refresh_tokens).values(
            token_hash=session.token_hash, session_id=session.id, created_at=now, expires_at=session.expires_at
        )
    )


def _user(row: Row[Any], *, email: str | None = "") -> User:
    return User(UserId(row.id), row.email if email == "" else email, row.name, row.created_at)


def _account(row: Row[Any]) -> Account:
    return Account(_user(row), row.password_hash)


def _workspace(row: Row[Any]) -> Workspace:
    return Workspace(WorkspaceId(row.id), row.name, row.created_at)
