"""The people who may log in, and their sessions. A password is kept as its scrypt hash, a session as a SHA-256."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import sqlalchemy
from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from ticketing.database import reading
from ticketing.errors import AccountError, Throttled
from ticketing.incident import MACHINE
from ticketing.models import LoginFailureRow, SessionRow, UserRow
from ticketing.scope import EVERYTHING, Scope
from ticketing.transaction import ask, transact

ROLES: Final = ("admin", "staff", "customer")
SESSION_SECONDS: Final = 14 * 86400.0
SHORTEST_PASSWORD: Final = 10
LONGEST: Final = 200  # of a password; a name has 64
TRIES: Final = 10  # failed logins of a user or from an address …
WINDOW: Final = 300.0  # … within so many seconds, then it is closed until they are over
_N, _R, _P = 1 << 14, 8, 1  # 16 MiB and some 40 ms for a try
_NOBODY: Final = f"scrypt${_N}${_R}${_P}${'A' * 22}==${'A' * 43}="

_USER: Final = (UserRow.name, UserRow.role, UserRow.customer)


@dataclass(frozen=True, slots=True)
class User:
    """A person who may log in."""

    name: str
    role: str  # one of ROLES
    customer: str | None  # whose incidents they see; None: all

    @property
    def scope(self) -> Scope:
        """What they may see. It follows from who they are alone."""
        return EVERYTHING if self.customer is None else Scope(self.customer)


class Accounts:
    """Users and sessions of one database; safe to use from several threads and processes."""

    def __init__(self, engine: sqlalchemy.Engine, clock: Callable[[], float] = time.time) -> None:
        self._engine = engine
        self._reading = reading(engine)  # a page must not wait for a writer
        self._clock = clock

    # Users

    def users(self) -> list[User]:
        """Return those who may log in, by name."""
        query = select(*_USER).where(UserRow.disabled.is_(False)).order_by(UserRow.name)
        return ask(self._reading, lambda connection: [User(*row) for row in connection.execute(query)])

    def create(self, name: str, password: str, *, role: str = "staff", customer: str | None = None) -> User:
        """Let a person log in.

        Raises:
            AccountError: the name is taken or not valid, the password is too short, or role and customer do not fit.
        """
        _check(name, password, role, customer)
        values = {
            "name": name,
            "password": hash_password(password),
            "role": role,
            "customer": customer,
            "created_at": self._clock(),
            "disabled": False,
        }
        try:
            with self._engine.begin() as connection:
                connection.execute(insert(UserRow).values(values))
        except IntegrityError as error:
            raise AccountError(f"There is a user {name} already.") from error
        return User(name, role, customer)

    def set_password(self, name: str, password: str) -> None:
        """Give a user another password; their sessions end.

        Raises:
            AccountError: there is no such user, or the password is too short.
        """
        _check_password(password)
        hashed = hash_password(password)

        def work(connection: Connection) -> bool:
            user = connection.scalar(select(UserRow.id).where(UserRow.name == name))
            connection.execute(update(UserRow).where(UserRow.id == user).values(password=hashed))
            connection.execute(delete(SessionRow).where(SessionRow.user == user))
            return user is not None

        if not transact(self._engine, work):
            raise AccountError(f"There is no user {name}.")

    def disable(self, name: str) -> None:
        """Let a user log in no more; their sessions end.

        Raises:
            AccountError: there is no such user.
        """

        def work(connection: Connection) -> bool:
            user = connection.scalar(select(UserRow.id).where(UserRow.name == name))
            connection.execute(update(UserRow).where(UserRow.id == user).values(disabled=True))
            connection.execute(delete(SessionRow).where(SessionRow.user == user))
            return user is not None

        if not transact(self._engine, work):
            raise AccountError(f"There is no user {name}.")

    # Sessions

    def login(self, name: str, password: str, *, address: str, now: float) -> str | None:
        """Return the token of a new session, or None: the user or the password is wrong, which of them is not told.

        Raises:
            Throttled: too many failed logins of this user or from this address; the password was not looked at.
        """
        subjects = [f"user:{name[:64]}", f"address:{address[:64]}"]
        ask(self._reading, lambda connection: _throttle(connection, subjects, now))
        query = select(UserRow.id, UserRow.password).where(UserRow.name == name, UserRow.disabled.is_(False))
        row = ask(self._reading, lambda connection: connection.execute(query).one_or_none())
        # The same work for a name that does not exist: how long it takes must not tell.
        right = verify_password(password, row.password if row else _NOBODY)
        if row is None or not right:
            transact(self._engine, lambda connection: _count(connection, subjects, now))
            return None
        token = secrets.token_urlsafe(32)

        def work(connection: Connection) -> None:
            connection.execute(delete(LoginFailureRow).where(LoginFailureRow.subject == subjects[0]))
            connection.execute(delete(SessionRow).where(SessionRow.expires_at <= now))
            values = {"token": _digest(token), "user": row.id, "created_at": now, "expires_at": now + SESSION_SECONDS}
            connection.execute(insert(SessionRow).values(values))

        transact(self._engine, work)
        return token

    def session(self, token: str, *, now: float) -> User | None:
        """Return whose session it is, or None: unknown, over, or of a user who may log in no more."""
        query = (
            select(*_USER)
            .join(SessionRow, SessionRow.user == UserRow.id)
            .where(SessionRow.token == _digest(token), SessionRow.expires_at > now, UserRow.disabled.is_(False))
        )
        row = ask(self._reading, lambda connection: connection.execute(query).one_or_none())
        return None if row is None else User(*row)

    def logout(self, token: str) -> None:
        """End a session; one that is over already is no error."""
        transact(
            self._engine,
            lambda connection: connection.execute(delete(SessionRow).where(SessionRow.token == _digest(token))),
        )


def hash_password(password: str) -> str:
    """Return what is kept of a password: scrypt's parameters, a random salt and the hash (RFC 7914)."""
    salt = secrets.token_bytes(16)
    hashed = _scrypt(password, salt, _N, _R, _P)
    return f"scrypt${_N}${_R}${_P}${base64.b64encode(salt).decode()}${base64.b64encode(hashed).decode()}"


def verify_password(password: str, kept: str) -> bool:
    """Whether this is the password of a kept hash; in constant time."""
    _, n, r, p, salt, hashed = kept.split("$")
    found = _scrypt(password, base64.b64decode(salt), int(n), int(r), int(p))
    return hmac.compare_digest(found, base64.b64decode(hashed))


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    text = password.encode("utf-8", "surrogatepass")
    return hashlib.scrypt(text, salt=salt, n=n, r=r, p=p, maxmem=64 << 20, dklen=32)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _check(name: str, password: str, role: str, customer: str | None) -> None:
    if not name or len(name) > 64 or not name.isprintable() or name != name.strip() or name == MACHINE:
        raise AccountError(f"{name!r} cannot be a user's name.")
    if role not in ROLES:
        raise AccountError(f"{role!r} is no role; there are {', '.join(ROLES)}.")
    if (role == "customer") != (customer is not None):
        raise AccountError("A user of the role customer belongs to a customer, and nobody else does.")
    _check_password(password)


def _check_password(password: str) -> None:
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST:
        raise AccountError(f"A password has {SHORTEST_PASSWORD} to {LONGEST} characters.")


def _throttle(connection: Connection, subjects: list[str], now: float) -> None:
    query = select(LoginFailureRow).where(LoginFailureRow.subject.in_(subjects), LoginFailureRow.count >= TRIES)
    for row in connection.execute(query):
        if now < row.since + WINDOW:
            raise Throttled(row.since + WINDOW - now)


def _count(connection: Connection, subjects: list[str], now: float) -> None:
    """Count a failed login for each subject, in one statement each: two at once must not count as one."""
    over = LoginFailureRow.since <= now - WINDOW
    for subject in subjects:
        mine = LoginFailureRow.subject == subject
        connection.execute(delete(LoginFailureRow).where(mine, over))
        changed = connection.execute(update(LoginFailureRow).where(mine).values(count=LoginFailureRow.count + 1))
        if not changed.rowcount:
            connection.execute(insert(LoginFailureRow).values(subject=subject, count=1, since=now))
