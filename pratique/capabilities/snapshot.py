"""The fast path: what Casbin would say, computed once for each kind of question.

A question splits into a coarse part (`Access`: who, which tool, tier, class, taint), which has few values,
and time and arguments, which have many. For each coarse part the snapshot keeps the *residual*: the decision
itself when time and arguments cannot change it, else the few rows that must be looked at each time.

Rules:
- A snapshot is immutable but for its cache, and the cache dies with it. A new policy is a new snapshot, and
  taking it into use is one assignment: nobody ever decides by half a policy.
- It returns all matching rules, not the first. Order never matters; the strictest wins.
- Equality with plain Casbin (`Policy.enforce`) is a property test, and a sampled check in service (`shadow`).
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice
from typing import NamedTuple

from pratique.capabilities.constraints import Arguments
from pratique.capabilities.isolation import at_least
from pratique.capabilities.manifest import AskRule, DenyRule, ExceptionRule
from pratique.capabilities.policy import EVERYONE, WORDS, Access, Policy, Row, covers, live
from pratique.electorate import PERSON
from pratique.model import Allow, Ask, Decision, Deny, Need, Reason

MOST_CACHED_PER_KIND = 64
"""Combinations of open rows that one residual remembers the decision for."""

MOST_CACHED = 50_000
"""Kinds of question that one snapshot remembers. Beyond it, it starts over: slower, never wrong."""

MOST_NEAR_MISSES = 3
"""Allow rows that a denial names as having come near. `policy explain` names them all."""


class Residual:
    """What is left of a policy for one kind of question.

    Args:
        fixed: rows that match whatever the time and the arguments are.
        open_rows: rows whose time window or condition must be looked at each time. What many rows have in
            common is looked at once.
    """

    __slots__ = ("_fixed", "_made", "_open", "_snapshot", "access")

    def __init__(
        self, snapshot: "Snapshot", access: Access, fixed: tuple[Row, ...], open_rows: tuple[Row, ...]
    ) -> None:
        self._snapshot = snapshot
        self.access = access
        self._fixed = fixed
        groups: dict[tuple[int, int, str, bool], list[Row]] = {}
        for row in open_rows:
            groups.setdefault((row.nbf, row.exp, row.cond, row.kind == "allow"), []).append(row)
        self._open = tuple((*what, tuple(rows)) for what, rows in groups.items())
        self._made: dict[int, Decision] = {}  # which groups match, as bits → the decision they make

    @property
    def is_constant(self) -> bool:
        """Whether neither time nor arguments can change the decision."""
        return not self._open

    def decide(self, arguments: Callable[[], Arguments], now_us: int) -> Decision:
        """Return the decision at `now_us`. `arguments` is only called when a condition needs them."""
        bits = self._matching_bits(arguments, now_us) if self._open else 0
        decision = self._made.get(bits)
        if decision is None:
            if len(self._made) >= MOST_CACHED_PER_KIND:
                self._made.clear()
            decision = self._made[bits] = self._snapshot.decision(self.access, self._rows(bits))
        return decision

    def _matching_bits(self, arguments: Callable[[], Arguments], now_us: int) -> int:
        holds = self._snapshot.policy.condition_holds
        bits = 0
        for place, (nbf, exp, condition, is_allow, _) in enumerate(self._open):
            if not live(now_us, nbf, exp):
                continue
            if not condition or holds(condition, arguments(), "allow" if is_allow else "deny"):
                bits |= 1 << place
        return bits

    def _rows(self, bits: int) -> tuple[Row, ...]:
        if not bits:
            return self._fixed
        matching = [rows for place, (*_, rows) in enumerate(self._open) if bits >> place & 1]
        return self._fixed + tuple(row for rows in matching for row in rows)


class Snapshot:
    """One policy at one epoch, ready to decide.

    Args:
        policy: the loaded policy.
        epoch: the number under which the ledger put it in force.
    """

    def __init__(self, policy: Policy, epoch: int) -> None:
        self.policy = policy
        self.epoch = epoch
        self._cache: dict[Access, Residual] = {}
        self._index = _index(policy)
        self._reasons = {row.id: _reason(policy, row) for row in policy.rows}

    def decide(self, access: Access, arguments: Callable[[], Arguments], now_us: int) -> Decision:
        """Return Allow, Ask or Deny with every reason.

        Args:
            access: the coarse part of the question.
            arguments: gives the arguments as JSON values, when a condition asks for them.
            now_us: the time, microseconds since the epoch.
        """
        residual = self._cache.get(access)
        if residual is None:
            residual = self._remember(access)
        return residual.decide(arguments, now_us)

    def is_constant(self, access: Access) -> bool:
        """Return whether questions of this kind have one answer, whatever time and arguments are."""
        return (self._cache.get(access) or self._remember(access)).is_constant

    def candidates(self, access: Access) -> Iterator[Row]:
        """Yield the rows for this agent and tool, whatever tier, label, taint, time and arguments are."""
        return (entry.row for entry in self._entries(access))

    def coarse_rows(self, access: Access) -> list[Row]:
        """Return the rows that match whenever their time window and condition do."""
        _, _, _, tier, label, taint = access
        if not WORDS.issuperset((tier, label, taint)):
            return [row for row in self.candidates(access) if _coarse(access, row)]
        return [
            entry.row
            for entry in self._entries(access)
            if tier in entry.tiers and label in entry.labels and taint in entry.taints
        ]

    def _entries(self, access: Access) -> "list[_Entry]":
        """Return the rows of each name that means this agent and each pattern that matches this tool."""
        found: list[_Entry] = []
        patterns = _patterns(access.tool)
        for by_tool in self._index.get((access.sub, access.dom), ()):
            for pattern in patterns:
                if pattern in by_tool:
                    found += by_tool[pattern]
        return found

    def decision(self, access: Access, rows: tuple[Row, ...]) -> Decision:
        """Return the decision that these matching rows make: the strictest one, with all reasons."""
        allows = [row for row in rows if row.kind == "allow"]
        asks = [row for row in rows if row.kind == "ask"]
        denies = [row for row in rows if row.kind == "deny"]
        if denies:
            return self._deny(self._why(denies, asks, allows))
        if not allows:
            return self._deny((self._nobody_allows(access), *self._why(asks)))
        if asks:
            return self._ask(access, asks, self._why(asks, allows), self._grants(allows))
        return Allow(
            epoch=self.epoch,
            policy=self.policy.digest,
            reasons=self._why(allows),
            grants=self._grants(allows),
            at_least=at_least(self.policy, access),
        )

    def _remember(self, access: Access) -> Residual:
        if len(self._cache) >= MOST_CACHED:
            self._cache.clear()
        fixed: list[Row] = []
        open_rows: list[Row] = []
        for row in self.coarse_rows(access):
            (open_rows if _open(row) else fixed).append(row)
        residual = Residual(self, access, fixed=tuple(fixed), open_rows=tuple(open_rows))
        self._cache[access] = residual
        return residual

    def _why(self, *groups: Iterable[Row]) -> tuple[Reason, ...]:
        unique = {row.id: self._reasons[row.id] for group in groups for row in group}
        return tuple(unique.values())

    def _deny(self, reasons: tuple[Reason, ...]) -> Deny:
        return Deny(epoch=self.epoch, policy=self.policy.digest, reasons=reasons)

    def _ask(
        self,
        access: Access,
        rows: list[Row],
        reasons: tuple[Reason, ...],
        grants: tuple[tuple[str, int], ...],
    ) -> Ask:
        rules = {row.id: self.policy.rules[row.id] for row in rows}
        asking = [rule for rule in rules.values() if isinstance(rule, AskRule)]
        return Ask(
            epoch=self.epoch,
            policy=self.policy.digest,
            reasons=reasons,
            grants=grants,
            at_least=at_least(self.policy, access),
            needs=tuple(
                Need(rule=r.id, approvers=r.approvers, quorum=r.quorum, delegates=r.delegates or "")
                for r in asking
            ),
            wait_s=int(min(rule.wait for rule in asking).total_seconds()),
            use_within_s=int(min(rule.use_within for rule in asking).total_seconds()),
            escalate_to=self._escalate_to(access, asking),
            standing=all(rule.lets_stand(access.tier) for rule in asking),
        )

    def _escalate_to(self, access: Access, asking: list[AskRule]) -> tuple[str, ...]:
        """Return who is asked as well when nobody answers: the groups that the rules name, else the owner."""
        groups = tuple(dict.fromkeys(rule.escalate_to for rule in asking if rule.escalate_to))
        agent = self.policy.file.agents.get(access.sub)
        return groups if groups or agent is None else (PERSON + agent.owner,)

    def _grants(self, allows: list[Row]) -> tuple[tuple[str, int], ...]:
        """Return the counted exceptions to draw on: none when an uncounted rule allows as well."""
        counted = []
        for row in allows:
            rule = self.policy.rules[row.id]
            if not isinstance(rule, ExceptionRule) or rule.max_uses is None:
                return ()
            counted.append((rule.id, rule.max_uses))
        return tuple(counted[:1])

    def _nobody_allows(self, access: Access) -> Reason:
        if not self.policy.knows(access.sub, access.dom):
            return Reason(rule="", effect="deny", text=f"the policy knows no agent {access.sub!r}")
        text = f"no rule allows {access.sub} to call {access.tool} ({access.tier})"
        allows = (row for row in self.candidates(access) if row.kind == "allow")
        near = [near_miss(access, row) for row in islice(allows, MOST_NEAR_MISSES)]
        if next(allows, None) is not None:
            near.append("and others")
        return Reason(rule="", effect="deny", text=": ".join([text, "; ".join(near)]) if near else text)


def near_miss(access: Access, row: Row) -> str:
    """Return in words why an allow row for this agent and tool does not match."""
    stated = (
        ("tier", access.tier, row.tier),
        ("class", access.label, row.label),
        ("taint", access.taint, row.taint),
    )
    short = [
        f"{name} only up to {most}, this is {asked}"
        for name, asked, most in stated
        if not covers(asked, most, row.kind)
    ]
    if row.exp:
        short.append(f"from {_day(row.nbf)} until {_day(row.exp)}" if row.nbf else f"until {_day(row.exp)}")
    if row.cond:
        short.append(f"when {row.cond}")
    return f"{row.id} allows " + ", ".join(short)


def _coarse(access: Access, row: Row) -> bool:
    return (
        covers(access.tier, row.tier, row.kind)
        and covers(access.label, row.label, row.kind)
        and covers(access.taint, row.taint, row.kind)
    )


def _open(row: Row) -> bool:
    return bool(row.nbf or row.exp or row.cond)


class _Entry(NamedTuple):
    """A row of the index, with the words that it covers: looking one up is faster than comparing ranks."""

    row: Row
    tiers: frozenset[str]
    labels: frozenset[str]
    taints: frozenset[str]


def _index(policy: Policy) -> "dict[tuple[str, str], list[dict[str, list[_Entry]]]]":
    """Return agent and tenant → for each name that means the agent, pattern → rows.

    Agents that have a name in common share its table. Who is not declared is not in the index.
    """
    tables: dict[tuple[str, str], dict[str, list[_Entry]]] = defaultdict(lambda: defaultdict(list))
    for row in policy.rows:
        words = (_covered(stated, row.kind) for stated in (row.tier, row.label, row.taint))
        tables[row.sub, row.dom][row.tool].append(_Entry(row, *words))
    plain = {name: dict(by_tool) for name, by_tool in tables.items()}
    return {
        (name, agent.tenant): [
            plain[subject, agent.tenant]
            for subject in policy.subjects[name]
            if (subject, agent.tenant) in plain
        ]
        for name, agent in policy.file.agents.items()
    }


@lru_cache(maxsize=256)
def _covered(stated: str, kind: str) -> frozenset[str]:
    return frozenset(word for word in WORDS if covers(word, stated, kind))


def _patterns(tool: str) -> list[str]:
    """Return every pattern that matches `tool`: itself, each dotted prefix with `.*`, and `*`."""
    patterns = [tool]
    at = tool.rfind(".")
    while at > 0:
        patterns.append(tool[: at + 1] + "*")
        at = tool.rfind(".", 0, at)
    return [*patterns, EVERYONE]


def _reason(policy: Policy, row: Row) -> Reason:
    rule = policy.rules[row.id]
    if isinstance(rule, AskRule):
        who = rule.approvers if rule.quorum == 1 else f"{rule.quorum} of {rule.approvers}"
        text = f"{rule.id} asks {who}"
    elif isinstance(rule, DenyRule):
        text = f"{rule.id} denies" + (f": {rule.reason}" if rule.reason else "")
    elif isinstance(rule, ExceptionRule):
        until = _day(row.exp)
        text = f"{rule.id} allows until {until} ({rule.reason}; {rule.approved_by} agreed)"
    else:
        text = f"{rule.id} allows"
    return Reason(rule=rule.id, effect=row.kind, text=text + (f" when {rule.when}" if rule.when else ""))


def _day(moment_us: int) -> str:
    return f"{datetime.fromtimestamp(moment_us / 1e6, tz=UTC):%Y-%m-%d %H:%M}Z"
