"""Standing approvals: a yes given beforehand, to an agent's calls of one tool whose arguments fit a pattern.

Rules:
- It ends: at a time, after a number of uses, or when anybody in the tool's approver groups revokes it.
- It stands for the yes of the people behind it, and no more. Whether they suffice is decided for each call by
  the policy and the groups in force at that moment (`decide.stands_not`): so it outlives a new policy, and no
  yes of it outlives its giver's right to give one. Where a quorum is two, two people have to be behind it.
- It is bound to the tool's declaration: a tool that changes is another tool.
- It never counts for a call with an argument from outside, nor for one that cannot be undone, unless every
  rule that asks says so.
- Each use is counted in the transaction that commits the intent, which names it.
- The pattern may hold personal data: the vault keeps it, under the key of whoever made it. Without it, the
  approval counts for nothing.
"""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import Connection

from pratique.audit import deciding
from pratique.audit.canonical import canonical
from pratique.capabilities.manifest import AskRule
from pratique.capabilities.patterns import read_pattern, too_wide
from pratique.capabilities.policy import Access
from pratique.capabilities.snapshot import Snapshot
from pratique.electorate import Members
from pratique.errors import CanonicalError, LedgerCorruptError, StandingError, TicketClosedError
from pratique.ledger import queries
from pratique.ledger import queries_approvals as asking
from pratique.ledger.door import Ledger
from pratique.ledger.guards import EpochIs
from pratique.ledger.guards_approvals import StandingIs
from pratique.ledger.guards_identity import NobodyDisabled
from pratique.ledger.sequencer import Entry, Refused
from pratique.model import Capability, Standing, Value
from pratique.people import is_member, same_person

LONGEST_US = 366 * 24 * 3600 * 1_000_000
MOST_USES = 100_000


class StandingApproval(Value):
    """A standing approval as it stands.

    Attributes:
        pattern: argument → what it may be; None if it was erased: then it counts for nothing.
        people: who stands behind it, first whoever made it.
        state: `active`, `revoked`, `expired` or `used up`.
        reason: why it was made.
        uses: how often it fired, of `max_uses`; `used_us`: when last.
    """

    id: str
    agent: str
    tenant: str
    tool: str
    tool_digest: str
    pattern: dict[str, Any] | None
    people: tuple[str, ...]
    state: str
    reason: str
    max_uses: int
    uses: int
    made_us: int
    expires_us: int
    used_us: int
    ended_us: int
    ended_by: str


class Standings:
    """Makes, shows and ends them.

    Args:
        ledger: where they are.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def make(  # noqa: PLR0913  # one argument per fact
        self,
        by: str,
        snapshot: Snapshot,
        members: Members,
        capability: Capability,
        *,
        agent: str,
        pattern: Mapping[str, Any],
        expires_us: int,
        max_uses: int,
        reason: str,
    ) -> StandingApproval:
        """Give a yes beforehand.

        Args:
            by: who, as their login says: an approver for this agent and tool.
            snapshot: the policy in force.
            members: who belongs to its groups now.
            capability: the tool, as it is declared now.
            agent: whose calls.
            pattern: argument → what it may be (`pratique.capabilities.patterns`).
            expires_us: until when, µs since the epoch; at most a year from now.
            max_uses: how often in all.
            reason: why, for whoever looks at the list.

        Raises:
            StandingError: the pattern, the time, the number or the person cannot be.
            TicketClosedError: the policy changed meanwhile.
        """
        tenant = snapshot.policy.tenant_of(agent)
        if tenant is None:
            raise StandingError(f"the policy knows no agent {agent!r}")
        self._demand_approver(by, snapshot, members, agent, tenant, capability.name)
        self._demand_bounds(expires_us, max_uses, reason)
        body = _pattern_body(pattern, capability)
        identity = f"sa_{secrets.token_hex(8)}"
        draft = deciding.standing_made(
            identity,
            by=by,
            agent=agent,
            tenant=tenant,
            tool=capability.name,
            tool_digest=capability.digest,
            max_uses=max_uses,
            expires_us=expires_us,
            epoch=snapshot.epoch,
            reason=reason,
        )
        owner = self._ledger.vault.subject_id(by)
        self._know(owner)
        kept = self._ledger.seal(owner, queries.about(draft), {"pattern": body})
        entry = Entry(
            drafts=({**draft, **kept.commitments},),
            values=(kept,),
            guards=(EpochIs(snapshot.epoch), NobodyDisabled((by,))),
        )
        self._commit(entry)
        return self.get(identity)

    def join(self, identity: str, by: str, snapshot: Snapshot, members: Members) -> StandingApproval:
        """Stand behind it as well: a quorum of two needs two people.

        Raises:
            StandingError: there is none, or this person cannot.
            TicketClosedError: it ended, or somebody else joined, meanwhile.
        """
        found = self.get(identity)
        self._demand_active(found)
        if any(same_person(name) == same_person(by) for name in found.people):
            raise StandingError(f"{by} stands behind {identity} already")
        self._demand_approver(by, snapshot, members, found.agent, found.tenant, found.tool)
        guards = (StandingIs(identity, found.people), EpochIs(snapshot.epoch), NobodyDisabled((by,)))
        self._commit(Entry(drafts=(deciding.standing_joined(identity, by),), guards=guards))
        return self.get(identity)

    def revoke(
        self, identity: str, by: str, snapshot: Snapshot, members: Members, reason: str
    ) -> StandingApproval:
        """End it at once. Whoever could make it may end it, and whoever stands behind it.

        Raises:
            StandingError: there is none, or this person cannot.
            TicketClosedError: it ended meanwhile.
        """
        found = self.get(identity)
        self._demand_active(found)
        if not any(same_person(name) == same_person(by) for name in found.people):
            self._demand_approver(by, snapshot, members, found.agent, found.tenant, found.tool)
        while True:
            guard = StandingIs(identity, found.people)
            draft = deciding.standing_revoked(identity, by, reason)
            if not isinstance(self._ledger.commit_now(Entry(drafts=(draft,), guards=(guard,))), Refused):
                return self.get(identity)
            found = self.get(identity)  # somebody joined: that is no reason for it to go on
            self._demand_active(found)

    def get(self, identity: str) -> StandingApproval:
        """Return one of them.

        Raises:
            StandingError: there is none.
        """

        def find(connection: Connection) -> StandingApproval:
            row = asking.standing(connection, identity)
            if row is None:
                raise StandingError(f"there is no standing approval {identity!r}")
            return self._shown(connection, row)

        return self._ledger.read(find)

    def all(self) -> list[StandingApproval]:
        """Return them, the newest first."""
        return self._ledger.read(lambda c: [self._shown(c, row) for row in asking.standings(c)])

    def _shown(self, connection: Connection, row: Any) -> StandingApproval:
        record = queries.record(connection, row.seq) or {}
        state = row.state
        if state == "active" and row.uses >= row.max_uses:
            state = "used up"
        elif state == "active" and self._ledger.clock() >= row.expires_us:
            state = "expired"
        return StandingApproval(
            id=row.id,
            agent=row.agent,
            tenant=row.tenant,
            tool=row.tool,
            tool_digest=row.tool_digest,
            pattern=_pattern(connection, self._ledger, row.seq),
            people=tuple(orjson.loads(row.people)),
            state=state,
            reason=record.get("reason", ""),
            max_uses=row.max_uses,
            uses=row.uses,
            made_us=row.made_us,
            expires_us=row.expires_us,
            used_us=row.used_us,
            ended_us=row.ended_us,
            ended_by=row.ended_by,
        )

    def _demand_active(self, found: StandingApproval) -> None:
        if found.state != "active":
            raise TicketClosedError(f"{found.id} is {found.state} already; nothing was changed")

    def _demand_approver(
        self, by: str, snapshot: Snapshot, members: Members, agent: str, tenant: str, tool: str
    ) -> None:
        groups = _asking_groups(snapshot, agent, tenant, tool)
        if not any(is_member(members(group), by) for group in groups):
            asked = ", ".join(groups) or "nobody"
            raise StandingError(f"{by} is not asked about {tool} by {agent} (asked is: {asked})")

    def _demand_bounds(self, expires_us: int, max_uses: int, reason: str) -> None:
        now_us = self._ledger.clock()
        if not now_us < expires_us <= now_us + LONGEST_US:
            raise StandingError("expires: say a time in the future, at most a year from now")
        if not 1 <= max_uses <= MOST_USES:
            raise StandingError(f"max uses: say how often, from 1 to {MOST_USES}")
        if not reason.strip():
            raise StandingError("reason: say why; others will read the list")

    def _know(self, owner: str) -> None:
        if self._ledger.read(lambda c: self._ledger.learn(c, owner)):
            return
        vault = self._ledger.vault
        self._ledger.commit_now(Entry(drafts=(), keys=((owner, vault.new_key(owner)),)))
        self._ledger.read(lambda c: self._ledger.learn(c, owner))

    def _commit(self, entry: Entry) -> None:
        done = self._ledger.commit_now(entry)
        if isinstance(done, Refused):
            raise TicketClosedError(f"{done.why}; nothing was changed")


def standing_approvals(
    connection: Connection, ledger: Ledger, agent: str, tool: str, groups: Mapping[str, Sequence[str]]
) -> list[Standing]:
    """Return the yeses given beforehand that may count for a call of this agent and tool, soonest to end.

    `groups` are those that are asked, with who belongs to them at this moment.
    """
    found = []
    for row in asking.standings_for(connection, agent, tool, ledger.clock()):
        pattern = _pattern(connection, ledger, row.seq)
        people = tuple(orjson.loads(row.people))
        if pattern is not None:
            found.append(
                Standing(
                    id=row.id,
                    agent=row.agent,
                    tenant=row.tenant,
                    tool=row.tool,
                    tool_digest=row.tool_digest,
                    pattern=pattern,
                    approved_by=people,
                    belongs={
                        name: tuple(one for one in people if is_member(members, one))
                        for name, members in groups.items()
                    },
                    max_uses=row.max_uses,
                    expires_us=row.expires_us,
                )
            )
    return found


def _pattern(connection: Connection, ledger: Ledger, seq: int) -> dict[str, Any] | None:
    """Return a pattern out of the vault, or None when it was erased or is not the one that was recorded."""
    record, owner = queries.record(connection, seq), queries.subject_of(connection, seq)
    if record is None or owner is None or not ledger.learn(connection, owner):
        return None
    try:
        found = queries.values(connection, ledger.vault, record).get("pattern")
    except LedgerCorruptError:
        return None
    if found is None or not found.genuine:
        return None
    pattern = orjson.loads(found.value)
    return pattern if isinstance(pattern, dict) else None


def _pattern_body(pattern: Mapping[str, Any], capability: Capability) -> bytes:
    try:
        read_pattern(pattern)
        wide = too_wide(pattern, capability.sinks)
    except (ValueError, RecursionError) as problem:
        raise StandingError(f"pattern: {problem}") from None
    if wide:
        raise StandingError(
            f"pattern: {', '.join(wide)} decides where it goes: say what it may be, not `any`"
        )
    unknown = pattern.keys() - capability.parameters.get("properties", {}).keys()
    if unknown:
        raise StandingError(f"pattern: {capability.name} has no argument {', '.join(sorted(unknown))}")
    try:
        return canonical(dict(pattern), most_bytes=LARGEST_PATTERN)
    except CanonicalError as problem:
        raise StandingError(f"pattern: {problem}") from None


LARGEST_PATTERN = 64 * 1024


def _asking_groups(snapshot: Snapshot, agent: str, tenant: str, tool: str) -> list[str]:
    """Return the groups that are asked about any call of this tool by this agent."""
    access = Access(agent, tenant, tool, "", "", "")
    rules = (snapshot.policy.rules[row.id] for row in snapshot.candidates(access) if row.kind == "ask")
    return list(dict.fromkeys(rule.approvers for rule in rules if isinstance(rule, AskRule)))
