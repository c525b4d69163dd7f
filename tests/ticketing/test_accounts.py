"""Who may log in: passwords, sessions, throttling, and what each person may see."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from ticketing.accounts import SESSION_SECONDS, TRIES, WINDOW, Accounts, hash_password, verify_password
from ticketing.database import connect
from ticketing.errors import AccountError, Throttled
from ticketing.models import Base, SessionRow, UserRow
from ticketing.scope import EVERYTHING, Scope

NOW = 1_760_000_000.0
PASSWORD = "correct horse battery"
HERE = "198.51.100.7"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = connect(f"sqlite:///{tmp_path / 'watchdesk.db'}")
    Base.metadata.create_all(made)
    yield made
    made.dispose()


@pytest.fixture
def accounts(engine: Engine) -> Accounts:
    made = Accounts(engine, clock=lambda: NOW)
    made.create("alice", PASSWORD, role="admin")
    made.create("charlie", PASSWORD, role="customer", customer="other")
    return made


def test_the_scope_follows_from_the_user_alone(accounts: Accounts) -> None:
    scopes = {user.name: user.scope for user in accounts.users()}
    assert scopes == {"alice": EVERYTHING, "charlie": Scope("other")}


def test_a_login_gives_a_session_that_ends(accounts: Accounts) -> None:
    token = accounts.login("charlie", PASSWORD, address=HERE, now=NOW)
    assert token is not None
    user = accounts.session(token, now=NOW + SESSION_SECONDS - 1)
    assert user is not None
    assert (user.name, user.role, user.customer) == ("charlie", "customer", "other")
    assert accounts.session(token, now=NOW + SESSION_SECONDS) is None
    assert accounts.session(token + "x", now=NOW) is None
    accounts.logout(token)
    accounts.logout(token)
    assert accounts.session(token, now=NOW) is None


@pytest.mark.parametrize(
    ("name", "password"), [("alice", "wrong"), ("nobody", PASSWORD), ("Alice", PASSWORD), ("", "")]
)
def test_a_wrong_name_or_password_gives_nothing(accounts: Accounts, name: str, password: str) -> None:
    assert accounts.login(name, password, address=HERE, now=NOW) is None


def test_neither_passwords_nor_tokens_are_kept(accounts: Accounts, engine: Engine) -> None:
    token = accounts.login("alice", PASSWORD, address=HERE, now=NOW)
    with engine.connect() as connection:
        kept = [*connection.scalars(select(UserRow.password)), *connection.scalars(select(SessionRow.token))]
    assert len(kept) == 3
    assert len(set(kept)) == 3  # the same password twice, each with a salt of its own
    assert not any(secret in text for secret in (PASSWORD, str(token)) for text in kept)


def test_guessing_one_users_password_closes_that_user_for_a_while(accounts: Accounts) -> None:
    for guess in range(TRIES):
        assert accounts.login("alice", "wrong", address=f"192.0.2.{guess}", now=NOW + guess) is None
    with pytest.raises(Throttled) as caught:
        accounts.login("alice", PASSWORD, address=HERE, now=NOW + TRIES)
    assert 0 < caught.value.retry_after <= WINDOW
    assert accounts.login("charlie", PASSWORD, address=HERE, now=NOW + TRIES)
    assert accounts.login("alice", PASSWORD, address=HERE, now=NOW + WINDOW)


def test_guessing_from_one_address_closes_that_address(accounts: Accounts) -> None:
    for guess in range(TRIES):
        accounts.login(f"user{guess}", "wrong", address=HERE, now=NOW)
    with pytest.raises(Throttled):
        accounts.login("alice", PASSWORD, address=HERE, now=NOW + 1)
    assert accounts.login("alice", PASSWORD, address="192.0.2.1", now=NOW + 1)


def test_a_login_that_succeeds_forgets_the_users_failures(accounts: Accounts) -> None:
    for guess in range(TRIES - 1):
        accounts.login("alice", "wrong", address=f"192.0.2.{guess}", now=NOW)
    assert accounts.login("alice", PASSWORD, address=HERE, now=NOW)
    assert accounts.login("alice", "wrong", address=HERE, now=NOW) is None
    assert accounts.login("alice", PASSWORD, address=HERE, now=NOW)


def test_another_password_and_a_disabled_user_end_the_sessions(accounts: Accounts) -> None:
    first = accounts.login("alice", PASSWORD, address=HERE, now=NOW)
    accounts.set_password("alice", "another password")
    assert accounts.session(str(first), now=NOW) is None
    assert accounts.login("alice", PASSWORD, address=HERE, now=NOW) is None
    second = accounts.login("alice", "another password", address=HERE, now=NOW)
    accounts.disable("alice")
    assert accounts.session(str(second), now=NOW) is None
    assert accounts.login("alice", "another password", address=HERE, now=NOW) is None
    assert [user.name for user in accounts.users()] == ["charlie"]


@pytest.mark.parametrize(
    ("name", "password", "role", "customer"),
    [
        ("alice", PASSWORD, "staff", None),  # taken
        ("", PASSWORD, "staff", None),
        ("watchdesk", PASSWORD, "staff", None),  # the machine's own name in timelines
        ("a\nb", PASSWORD, "staff", None),
        ("x" * 65, PASSWORD, "staff", None),
        ("bob", "short", "staff", None),
        ("bob", "x" * 201, "staff", None),
        ("bob", PASSWORD, "root", None),
        ("bob", PASSWORD, "customer", None),  # of nobody: would see everything
        ("bob", PASSWORD, "staff", "acme"),
    ],
)
def test_users_that_cannot_be(accounts: Accounts, name: str, password: str, role: str, customer: str | None) -> None:
    with pytest.raises(AccountError):
        accounts.create(name, password, role=role, customer=customer)
    assert len(accounts.users()) == 2


def test_changes_to_nobody_are_refused(accounts: Accounts) -> None:
    with pytest.raises(AccountError, match="no user nobody"):
        accounts.set_password("nobody", PASSWORD)
    with pytest.raises(AccountError, match="no user nobody"):
        accounts.disable("nobody")


def test_hashes_are_salted_and_checked(accounts: Accounts) -> None:
    kept = hash_password("pässwört ☃")
    assert kept != hash_password("pässwört ☃")
    assert verify_password("pässwört ☃", kept)
    assert not verify_password("pässwört", kept)
