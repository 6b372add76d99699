"""Accounts of people: added, given roles and passwords, disabled. Each step is a record.

Rules:
- A name is lower-case ASCII and has no colon: no account can pass for a shell login (`local:…`).
- Who is in an approver group is said by the policy. `oidc:VALUE` in a group stands for everyone whose last
  company login carried that value. A disabled account belongs to no group.
- What a company's login stands for is the pair of issuer and subject; the name that it carries is taken once.

An attacker who can modify the tables can give themselves a role until `pratique audit verify` is run.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence

import orjson
from sqlalchemy import Connection, select

from pratique.audit import identity as drafts
from pratique.audit.record import Draft
from pratique.capabilities.policy import Policy
from pratique.capabilities.rights import GIVEN
from pratique.errors import IdentityError
from pratique.identity import passwords, secret
from pratique.ledger import queries
from pratique.ledger import tables as t
from pratique.ledger.door import Ledger
from pratique.ledger.guards import Guard
from pratique.ledger.guards_identity import PersonIs, PersonIsNew
from pratique.ledger.sequencer import Entry, Refused
from pratique.ledger.vault import Sealing
from pratique.model import Value

OIDC = "oidc:"
LINK_SECONDS = 3600

_NAME = re.compile(r"[a-z0-9][a-z0-9._%+@-]{0,127}")


class Account(Value):
    """A person as the ledger knows them. `groups` are what their company's last login said."""

    name: str
    roles: tuple[str, ...]
    groups: tuple[str, ...]
    issuer: str
    subject: str
    password_seq: int
    added_us: int
    disabled_us: int

    @property
    def is_enabled(self) -> bool:
        """Whether they may log in."""
        return not self.disabled_us


class People:
    """The accounts in one ledger.

    Args:
        ledger: where they are kept.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def find(self, name: str) -> Account | None:
        """Return the account of this name, or None."""
        return self._ledger.read(lambda connection: account(connection, folded(name)))

    def all(self) -> list[Account]:
        """Return every account, by name."""
        return self._ledger.read(
            lambda connection: [
                _account(row) for row in connection.execute(select(t.people).order_by("name"))
            ]
        )

    def add(
        self, name: str, by: str, *, roles: Iterable[str] = (), issuer: str = "", subject: str = ""
    ) -> Account:
        """Add an account.

        Args:
            name: what the policy's groups and the records call the person; often their e-mail address.
            by: who does it.
            roles: of `GIVEN`.
            issuer: who logs them in, when a company does.
            subject: under which id there.

        Raises:
            IdentityError: the name or a role cannot be, or the account is there.
        """
        name = checked_name(name)
        draft = drafts.person_add(name, checked_roles(roles), by, issuer, subject)
        self._commit(draft, PersonIsNew(name))
        return self._get(name)

    def give(self, name: str, roles: Iterable[str], by: str) -> Account:
        """Give the person these roles, and no others."""
        name = folded(name)
        self._commit(drafts.person_roles(name, checked_roles(roles), by), PersonIs(name))
        return self._get(name)

    def disable(self, name: str, by: str, reason: str = "") -> Account:
        """Disable the account, and end its logins at once."""
        name = folded(name)
        self._commit(drafts.person_disable(name, by, reason), PersonIs(name))
        return self._get(name)

    def enable(self, name: str, by: str) -> Account:
        """Let a disabled account log in again."""
        name = folded(name)
        self._commit(drafts.person_enable(name, by), PersonIs(name, disabled=True))
        return self._get(name)

    def set_password(self, name: str, password: str, by: str) -> None:
        """Give the person a password. All their logins end.

        Raises:
            PasswordError: this one may not be chosen.
            IdentityError: there is no such account, it is disabled, or it is a company's: what that company
                said of it would outlive its leaving.
        """
        name = folded(name)
        found = self.find(name)
        if found is not None and found.issuer:
            raise IdentityError(
                f"{name} logs in with the account of {found.issuer}, and has no password here"
            )
        passwords.check(password, name)
        draft = drafts.person_password(name, by)
        owner = self._ledger.vault.subject_id(name)
        self._ledger.know_now(owner)
        kept = self._ledger.seal(
            owner, queries.about(draft), {"password": passwords.hashed(password).encode()}
        )
        self._commit({**draft, **kept.commitments}, PersonIs(name), kept)

    def link(self, name: str, by: str, seconds: int = LINK_SECONDS) -> str:
        """Return a secret that logs the person in once, within this time."""
        name = folded(name)
        shown = secret.new()
        ends_us = self._ledger.clock() + seconds * 1_000_000
        self._commit(drafts.person_link(shown.id, name, shown.digest, ends_us, by), PersonIs(name))
        return shown.text

    def _get(self, name: str) -> Account:
        found = self.find(name)
        if found is None:
            raise IdentityError(f"{name} has no account")
        return found

    def _commit(self, draft: Draft, guard: Guard, kept: Sealing | None = None) -> None:
        done = self._ledger.commit_now(Entry(drafts=(draft,), values=(kept,), guards=(guard,)))
        if isinstance(done, Refused):
            raise IdentityError(done.why)


def members(connection: Connection, policy: Policy) -> Callable[[str], Sequence[str]]:
    """Return who belongs to each approver group now: the policy's names, `oidc:` values made into people."""
    rows = [_account(row) for row in connection.execute(select(t.people))]
    disabled = {person.name for person in rows if not person.is_enabled}

    def of(group: str) -> tuple[str, ...]:
        named = policy.members(group)
        values = {name.removeprefix(OIDC) for name in named if name.startswith(OIDC)}
        found = [folded(name) if _is_account_name(name) else name for name in named]
        found += [person.name for person in rows if values.intersection(person.groups)]
        return tuple(dict.fromkeys(name for name in (*named, *found) if folded(name) not in disabled))

    return of


def account(connection: Connection, name: str) -> Account | None:
    """Return the account of this name, or None."""
    row = connection.execute(select(t.people).where(t.people.c.name == name)).one_or_none()
    return None if row is None else _account(row)


def account_of(connection: Connection, issuer: str, subject: str) -> Account | None:
    """Return the account that this company login stands for, or None."""
    row = connection.execute(
        select(t.people).where(t.people.c.issuer == issuer, t.people.c.subject == subject)
    ).first()
    return None if row is None else _account(row)


def folded(name: str) -> str:
    """Return the one spelling of a name under which an account is kept."""
    return unicodedata.normalize("NFKC", name).casefold().strip()


def checked_name(name: str) -> str:
    """Return the name as an account has it.

    Raises:
        IdentityError: it cannot be an account's name.
    """
    if not _is_account_name(name):
        raise IdentityError(
            f"{name[:80]!r} cannot be a name: take letters, digits and ._%+@- (an e-mail address will do)"
        )
    return folded(name)


def checked_roles(roles: Iterable[str]) -> list[str]:
    """Return the roles, sorted.

    Raises:
        IdentityError: one cannot be given.
    """
    found = sorted({str(role) for role in roles})
    for role in found:
        if role not in GIVEN:
            raise IdentityError(f"{role!r} is no role that can be given; there are: {', '.join(GIVEN)}")
    return found


def _is_account_name(name: str) -> bool:
    return _NAME.fullmatch(folded(name)) is not None


def _account(row: object) -> Account:
    columns = dict(row._mapping)  # type: ignore[attr-defined]  # noqa: SLF001  # SQLAlchemy's public name for it
    return Account(
        **{**columns, "roles": orjson.loads(columns["roles"]), "groups": orjson.loads(columns["groups"])}
    )
