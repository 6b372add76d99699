"""What must still be true of people, logins and keys when it is committed; see `pratique.ledger.guards`."""

from typing import NamedTuple

from sqlalchemy import select

from pratique.ledger import tables as t
from pratique.ledger.guards import Moment
from pratique.people import same_person


class PersonIsNew(NamedTuple):
    """Nobody has this name yet."""

    name: str

    def refuses(self, moment: Moment) -> str | None:
        """See the class."""
        found = moment.connection.execute(select(t.people.c.name).where(t.people.c.name == self.name)).first()
        return None if found is None else f"{self.name} has an account already"


class PersonIs(NamedTuple):
    """The person has an account, which is enabled (or disabled, if that is asked for)."""

    name: str
    disabled: bool = False

    def refuses(self, moment: Moment) -> str | None:
        """See the class."""
        disabled_us = moment.connection.execute(
            select(t.people.c.disabled_us).where(t.people.c.name == self.name)
        ).scalar()
        if disabled_us is None:
            return f"{self.name} has no account"
        if bool(disabled_us) != self.disabled:
            return f"the account of {self.name} is {'disabled' if disabled_us else 'not disabled'}"
        return None


class NobodyDisabled(NamedTuple):
    """None of these people's accounts is disabled. Whoever has no account answers by the policy alone."""

    people: tuple[str, ...]

    def refuses(self, moment: Moment) -> str | None:
        """See the class."""
        names = [same_person(person).strip() for person in self.people]
        disabled = moment.connection.execute(
            select(t.people.c.name).where(t.people.c.name.in_(names), t.people.c.disabled_us != 0)
        ).scalar()
        return None if disabled is None else f"the account of {disabled} was disabled"


class PasswordIs(NamedTuple):
    """The password is still the one that was checked (the number of its record)."""

    name: str
    seq: int

    def refuses(self, moment: Moment) -> str | None:
        """See the class."""
        seq = moment.connection.execute(
            select(t.people.c.password_seq).where(t.people.c.name == self.name)
        ).scalar()
        return None if seq == self.seq else f"the password of {self.name} was changed meanwhile"


class LinkIsUnused(NamedTuple):
    """The login link was not used, and is not too old."""

    link: str

    def refuses(self, moment: Moment) -> str | None:
        """See the class."""
        row = moment.connection.execute(
            select(t.login_links).where(t.login_links.c.id == self.link)
        ).one_or_none()
        if row is None or row.used_us:
            return "this login link was used already"
        return "this login link is too old" if moment.now_us >= row.ends_us else None


class LoginIsOpen(NamedTuple):
    """The login was not ended."""

    login: str

    def refuses(self, moment: Moment) -> str | None:
        """See the class."""
        row = moment.connection.execute(
            select(t.logins.c.closed_us, t.logins.c.ends_us).where(t.logins.c.id == self.login)
        ).one_or_none()
        ended = row is None or row.closed_us or moment.now_us >= row.ends_us
        return "this login has ended" if ended else None


class KeyIsGood(NamedTuple):
    """The key is this agent's, was not revoked, and is not too old."""

    key: str
    agent: str

    def refuses(self, moment: Moment) -> str | None:
        """See the class."""
        row = moment.connection.execute(select(t.api_keys).where(t.api_keys.c.id == self.key)).one_or_none()
        if row is None or row.agent != self.agent:
            return f"there is no API key {self.key} of {self.agent}"
        if row.revoked_us:
            return f"the API key {self.key} was revoked"
        return f"the API key {self.key} has expired" if moment.now_us >= row.ends_us else None
