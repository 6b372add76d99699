"""What lies beside the log, for whoever holds its history against the rules: policies, and whom it was for.

Rules:
- Nothing here is believed: a policy's text counts if it has the digest that the record names, a value from
  the vault if it fits the record's commitment.
- A policy is read for its groups and counted exceptions only, and by no stricter rules than TOML's: a log
  stays checkable when the policy language grows.
"""

import hashlib
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, select

from pratique.audit.standing import Record, Stated
from pratique.errors import LedgerCorruptError
from pratique.ledger import queries
from pratique.ledger import tables as t
from pratique.ledger.vault import Vault


class BesideLedger:
    """What lies beside a ledger's log, in the same database.

    Args:
        connection: one view of the ledger.
        vault: opens values; without one nobody knows on whose behalf people were asked.
    """

    def __init__(self, connection: Connection, vault: Vault | None = None) -> None:
        self._connection, self._vault = connection, vault
        self._policies: dict[str, Stated | None] = {}

    def policy(self, digest: str) -> Stated | None:
        """Return what the policy of this digest states; None if its text is not there or is another."""
        if digest not in self._policies:
            self._policies[digest] = self._read(digest)
        return self._policies[digest]

    def asked_for(self, proposed: Record) -> str | None:
        """Return on whose behalf a question was asked; None if that cannot be known (any more)."""
        subject = queries.subject_of(self._connection, proposed["seq"])
        if self._vault is None or subject is None or not self._learn(subject):
            return None
        try:
            user = queries.values(self._connection, self._vault, proposed).get("user")
        except LedgerCorruptError:
            return None
        return user.value.decode() if user is not None and user.genuine else None

    def _learn(self, subject: str) -> bool:
        if self._vault is None or self._vault.knows(subject):
            return self._vault is not None
        wrapped = self._connection.execute(
            select(t.vault_keys.c.wrapped).where(t.vault_keys.c.subject == subject)
        ).scalar()
        if wrapped is None:
            return False
        try:
            self._vault.learn(subject, wrapped)
        except LedgerCorruptError:
            return False
        return True

    def _read(self, digest: str) -> Stated | None:
        text = queries.policy_text(self._connection, digest)
        if hashlib.sha256(text.encode()).hexdigest() != digest:
            return None
        try:
            return _stated(tomllib.loads(text))
        except tomllib.TOMLDecodeError:
            return None


def _stated(policy: Mapping[str, Any]) -> Stated:
    groups = policy.get("groups", {})
    exceptions = policy.get("exception", [])
    return Stated(
        groups={name: _members(group) for name, group in groups.items()},
        most_uses={rule["id"]: rule["max_uses"] for rule in exceptions if "max_uses" in rule},
        erasers=policy.get("erasure", {}).get("approvers", ""),
    )


def _members(group: Any) -> Sequence[str]:
    return tuple(group) if isinstance(group, list) else ()
