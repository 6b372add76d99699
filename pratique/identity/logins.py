"""Logins of people: by password, by a link that works once, or by their company; opened and ended by records.

Rules:
- Whatever is wrong with what was shown, the answer is the same, and takes the same time.
- A login has an absolute end. It ends before that when its person logs out, is disabled, or gets a new
  password; every request looks.
- A link is used up in the transaction that opens the login: of two who try, one is in.
- A company's login is known by issuer and subject. A name that another login holds is not given away.
"""

import secrets
from collections.abc import Sequence

from sqlalchemy import Connection, select

from pratique.audit import identity as drafts
from pratique.capabilities.policy import Policy
from pratique.capabilities.rights import GIVEN, Role
from pratique.errors import LoginRefusedError
from pratique.identity import passwords, secret
from pratique.identity.people import Account, People, account, account_of, checked_name, folded, members
from pratique.ledger import policies, queries
from pratique.ledger import tables as t
from pratique.ledger.door import Ledger
from pratique.ledger.guards import Guard
from pratique.ledger.guards_identity import LinkIsUnused, LoginIsOpen, PasswordIs, PersonIs
from pratique.ledger.sequencer import Entry, Refused
from pratique.model import Value

MOST_GROUPS = 200
"""Group values of a company's login that a record holds."""

NO = "name and password do not fit, or the account is disabled"
NO_LINK = "this login link was used already, is too old, or never was one"


class Login(Value):
    """A login that is open: whose, and until when at the latest (microseconds since the epoch)."""

    id: str
    person: str
    how: str
    ends_us: int


class Known(Value):
    """Who is behind an open login, at this moment: what they are in the house, and their approver groups."""

    login: Login
    roles: frozenset[str]
    groups: frozenset[str]


class Logins:
    """Opens, finds and ends logins.

    Args:
        ledger: where they are kept.
        seconds: how long a login lasts at most.
    """

    def __init__(self, ledger: Ledger, seconds: int = 12 * 3600) -> None:
        self._ledger, self._seconds = ledger, seconds

    def by_password(self, name: str, password: str) -> Login:
        """Log in with a password. Takes tens of milliseconds, whoever is named.

        Raises:
            LoginRefusedError: they do not fit, or the account is disabled.
        """
        name = folded(name)
        found, kept = self._ledger.read(lambda connection: self._password(connection, name))
        fits = passwords.fits(password, kept)
        if found is None:
            raise LoginRefusedError(NO)
        if not (fits and found.is_enabled) or found.issuer:
            self._ledger.commit_now(Entry(drafts=(drafts.login_refuse(name, "password", NO),)))
            raise LoginRefusedError(NO)
        return self._open(name, "password", PasswordIs(name, found.password_seq), problem=NO)

    def by_link(self, text: str) -> Login:
        """Log in with a link's secret, and use it up.

        Raises:
            LoginRefusedError: it does not log anybody in (any more).
        """
        link, name = self._link(text)
        return self._open(name, "link", LinkIsUnused(link), link=link, problem=NO_LINK)

    def by_company(
        self,
        issuer: str,
        subject: str,
        name: str,
        groups: Sequence[str],
        *,
        add: bool,
        roles: Sequence[str] | None = None,
    ) -> Login:
        """Log in whom a company's provider has logged in.

        Args:
            issuer: the provider.
            subject: the person's id there, which never changes.
            name: what they are called here, the first time they come.
            groups: what the provider says they belong to.
            add: whether somebody who comes for the first time gets an account.
            roles: the roles that those groups give them here; None leaves them as they are.

        Raises:
            LoginRefusedError: they have no account, or the name belongs to another login.
            IdentityError: the name cannot be an account's.
        """
        found = self._ledger.read(lambda connection: account_of(connection, issuer, subject))
        if found is None:
            name = checked_name(name)
            if not add:
                raise LoginRefusedError(f"{name} has no account here; ask an administrator for one")
            if self._ledger.read(lambda connection: account(connection, name)) is not None:
                raise LoginRefusedError(f"the name {name} belongs to another login; ask an administrator")
            found = People(self._ledger).add(
                name, f"oidc:{issuer}", roles=roles or (), issuer=issuer, subject=subject
            )
        elif roles is not None and set(found.roles) != set(roles):
            found = People(self._ledger).give(found.name, roles, f"oidc:{issuer}")
        return self._open(found.name, "oidc", groups=tuple(groups)[:MOST_GROUPS], problem=NO)

    def known(self, login: str, policy: Policy | None = None) -> Known | None:
        """Return who is behind a login, or None when it has ended."""
        policy = policy or policies.in_force(self._ledger).policy
        return self._ledger.read(lambda connection: self._known(connection, login, policy))

    def end(self, login: Login) -> None:
        """End a login. A second time does nothing."""
        entry = Entry(drafts=(drafts.login_close(login.id, login.person),), guards=(LoginIsOpen(login.id),))
        self._ledger.commit_now(entry)

    def _known(self, connection: Connection, login: str, policy: Policy) -> Known | None:
        row = connection.execute(select(t.logins).where(t.logins.c.id == login)).one_or_none()
        if row is None or row.closed_us or self._ledger.clock() >= row.ends_us:
            return None
        person = account(connection, row.person)
        if person is None or not person.is_enabled:
            return None
        of = members(connection, policy)
        groups = frozenset(group for group in policy.file.groups if person.name in of(group))
        roles = {role for role in person.roles if role in GIVEN} | (
            {Role.APPROVER.value} if groups else set()
        )
        opened = Login(id=row.id, person=row.person, how=row.how, ends_us=row.ends_us)
        return Known(login=opened, roles=frozenset(roles), groups=groups)

    def _open(
        self, name: str, how: str, *guards: Guard, link: str = "", groups: Sequence[str] = (), problem: str
    ) -> Login:
        login = Login(
            id=f"l_{secrets.token_hex(16)}",
            person=name,
            how=how,
            ends_us=self._ledger.clock() + self._seconds * 1_000_000,
        )
        draft = drafts.login_open(login.id, name, how, login.ends_us, groups, link)
        done = self._ledger.commit_now(Entry(drafts=(draft,), guards=(PersonIs(name), *guards)))
        if isinstance(done, Refused):
            raise LoginRefusedError(problem)
        return login

    def _link(self, text: str) -> tuple[str, str]:
        shown = secret.read(text)
        if shown is None:
            raise LoginRefusedError(NO_LINK)
        row = self._ledger.read(
            lambda connection: connection.execute(
                select(t.login_links).where(t.login_links.c.id == shown.id)
            ).one_or_none()
        )
        if row is None or not shown.matches(row.secret_sha256) or row.used_us:
            raise LoginRefusedError(NO_LINK)
        if self._ledger.clock() >= row.ends_us:
            raise LoginRefusedError(NO_LINK)
        return row.id, row.person

    def _password(self, connection: Connection, name: str) -> tuple[Account | None, str]:
        """Return the account and its password's hash; no hash if there is none, or not the recorded one."""
        found = account(connection, name)
        record = queries.record(connection, found.password_seq) if found and found.password_seq else None
        owner = queries.subject_of(connection, record["seq"]) if record else None
        if record is None or owner is None or not self._ledger.learn(connection, owner):
            return found, ""
        kept = queries.values(connection, self._ledger.vault, record).get("password")
        genuine = kept is not None and kept.genuine and record.get("person") == name
        return found, kept.value.decode() if kept is not None and genuine else ""
