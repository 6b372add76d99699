"""Agents' API keys: shown once, kept as a hash, for one agent, for a while, revocable at once.

Rules:
- A key is looked up at every request; nothing about it is remembered between two.
- Revoking a key ends the sessions that it opened, in the same transaction: a call that waits or is about to
  run under it commits nothing more.
- A key says for whom its agent may act: exact names, `*@DOMAIN`, or `*`. The program that holds the key has
  logged its user in and names them when it opens a session; nobody beyond this list.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection, select

from pratique.audit import identity as drafts
from pratique.errors import IdentityError
from pratique.identity import secret
from pratique.ledger import policies
from pratique.ledger import tables as t
from pratique.ledger.door import Ledger
from pratique.ledger.glance import Glance
from pratique.ledger.guards import EpochIs
from pratique.ledger.guards_identity import KeyIsGood
from pratique.ledger.sequencer import Entry, Refused
from pratique.model import Value, printable

ANYBODY = "*"
DAY_US = 86_400 * 1_000_000
LONGEST_DAYS = 366

_PATTERN = re.compile(r"\*|\*@[A-Za-z0-9.-]{1,253}|[^\s*]{1,254}")


class Key(Value):
    """An API key as the ledger knows it. Times are microseconds since the epoch, 0 for never."""

    id: str
    agent: str
    acts_for: tuple[str, ...]
    label: str
    issued_by: str
    issued_us: int
    ends_us: int
    revoked_us: int

    def is_good(self, now_us: int) -> bool:
        """Return whether it opens the door now."""
        return not self.revoked_us and now_us < self.ends_us

    def may_act_for(self, user: str) -> bool:
        """Return whether its agent may act for this person."""
        return any(_covers(pattern, user) for pattern in self.acts_for)

    def as_spelt(self, user: str) -> str:
        """Return a person as the key spells them, if it names them.

        Case does not tell people apart here, as it does not tell accounts apart: who mistypes a name is not
        somebody else. But values are kept, found and erased by the very name: one person must have one.
        """
        if user in self.acts_for:
            return user
        same = _ascii_lower(user)
        names = (name for name in self.acts_for if "*" not in name and _ascii_lower(name) == same)
        return next(names, user)


class Issued(Value):
    """A new key and its text, which is shown this once."""

    key: Key
    text: str


class Keys:
    """The API keys in one ledger.

    Args:
        ledger: where they are kept.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def issue(
        self, agent: str, acts_for: Iterable[str], by: str, *, days: int = 90, label: str = ""
    ) -> Issued:
        """Issue a key.

        Args:
            agent: whom it is for; the policy in force must name it.
            acts_for: for whom it may act.
            by: who does it.
            days: how long it lives.
            label: where it is kept, for whoever looks at the list.

        Raises:
            IdentityError: the policy has no such agent, or a pattern or the lifetime cannot be.
        """
        snapshot = policies.in_force(self._ledger)
        if snapshot.policy.tenant_of(agent) is None:
            known = ", ".join(sorted(snapshot.policy.file.agents)) or "none"
            hint = "" if snapshot.epoch else " (none was applied yet: `pratique policy apply`)"
            raise IdentityError(f"the policy in force has no agent {agent!r}; it has: {known}{hint}")
        if not 1 <= days <= LONGEST_DAYS:
            raise IdentityError(f"a key lives 1 to {LONGEST_DAYS} days")
        shown, ends_us = secret.new(), self._ledger.clock() + days * DAY_US
        draft = drafts.key_issue(
            shown.id, agent, _checked(acts_for), shown.digest, ends_us, printable(label), by
        )
        done = self._ledger.commit_now(Entry(drafts=(draft,), guards=(EpochIs(snapshot.epoch),)))
        if isinstance(done, Refused):
            raise IdentityError(f"{done.why}; try again")
        return Issued(key=self._get(shown.id), text=shown.text)

    def revoke(self, key: str, by: str, reason: str = "") -> Key:
        """End a key and its sessions, at once. A second time changes nothing.

        Raises:
            IdentityError: there is no such key.
        """
        found = self._get(key)
        if not found.revoked_us:
            self._ledger.commit_now(
                Entry(drafts=(drafts.key_revoke(key, by, reason),), guards=(_NotRevoked(key, found.agent),))
            )
        return self._get(key)

    def all(self) -> list[Key]:
        """Return every key, the newest first."""
        chosen = select(t.api_keys).order_by(t.api_keys.c.issued_us.desc(), t.api_keys.c.id)
        return self._ledger.read(lambda connection: [_key(row) for row in connection.execute(chosen)])

    def find(self, key: str) -> Key | None:
        """Return the key with this id, or None."""
        return self._ledger.read(lambda connection: _found(connection, key))

    def _get(self, key: str) -> Key:
        found = self.find(key)
        if found is None:
            raise IdentityError(f"no API key has the id {key!r}; see `pratique keys list`")
        return found


class _NotRevoked(KeyIsGood):
    """The key was not revoked; whether it is too old does not matter."""

    def refuses(self, moment: object) -> str | None:
        """See the class."""
        why = super().refuses(moment)  # type: ignore[arg-type]
        return why if why is not None and "revoked" in why else None


class Found(NamedTuple):
    """What a look at the door finds: the key that opens it, if one does, and the epoch of the policy."""

    key: Key | None
    epoch: int


_LOOK = (
    "SELECT id, agent, acts_for, label, issued_by, issued_us, ends_us, revoked_us, secret_sha256, "
    "(SELECT MAX(epoch) FROM policies) FROM (SELECT 1) LEFT JOIN api_keys ON id = ?"
)


def opened_by(glance: Glance, text: str, now_us: int) -> Found:
    """Return the key that this text is, if it opens the door now; whatever is wrong with it, none."""
    shown = secret.read(text)
    row = glance.row(_LOOK, (shown.id if shown is not None else "",))
    if row is None or row[0] is None or shown is None or not shown.matches(row[-2]):
        return Found(None, row[-1] or 0 if row is not None else 0)
    key = _made(row[:-2])
    return Found(key if key.is_good(now_us) else None, row[-1] or 0)


@lru_cache(maxsize=1024)
def _made(row: tuple[Any, ...]) -> Key:
    """Return the key of a row; the same row is the same key, and a row that changed is another one."""
    columns = dict(zip(_COLUMNS, row, strict=True))
    return Key(**{**columns, "acts_for": orjson.loads(columns["acts_for"])})


_COLUMNS = ("id", "agent", "acts_for", "label", "issued_by", "issued_us", "ends_us", "revoked_us")


def _found(connection: Connection, key: str) -> Key | None:
    row = connection.execute(select(t.api_keys).where(t.api_keys.c.id == key)).one_or_none()
    return None if row is None else _key(row)


def _key(row: object) -> Key:
    columns = dict(row._mapping)  # type: ignore[attr-defined]  # noqa: SLF001  # SQLAlchemy's public name for it
    del columns["secret_sha256"]
    return Key(**{**columns, "acts_for": orjson.loads(columns["acts_for"])})


def _checked(patterns: Iterable[str]) -> list[str]:
    found = sorted(set(patterns))
    if not found:
        raise IdentityError(f"say for whom the agent may act: a name, *@DOMAIN, or {ANYBODY} for anybody")
    for pattern in found:
        if not _PATTERN.fullmatch(pattern) or printable(pattern) != pattern:
            raise IdentityError(f"{pattern[:80]!r}: take a whole name, *@DOMAIN, or {ANYBODY} for anybody")
    return found


def _covers(pattern: str, user: str) -> bool:
    """Return whether a pattern means a person. Case of A to Z aside: folding makes `ss` of `ß` (RFC 4343)."""
    if pattern == ANYBODY:
        return True
    if pattern.startswith("*@"):
        name, at, domain = user.rpartition("@")
        return bool(name and at) and _ascii_lower(domain) == _ascii_lower(pattern[2:])
    return _ascii_lower(pattern) == _ascii_lower(user)


def _ascii_lower(text: str) -> str:
    return text.encode("utf-8", "surrogatepass").lower().decode("utf-8", "surrogatepass")
