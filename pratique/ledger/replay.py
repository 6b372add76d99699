"""A stretch of the log, decided again: reads records and arguments, a page at a time, in one view.

Rules:
- Nothing is written. Memory does not grow with the log.
- Arguments are decrypted only when a condition asks for them, and count only if they fit the record.
- The report names what it rests on: the head of the view, every policy by its digest, the engine.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import orjson
from sqlalchemy import Connection, Select, select

from pratique.audit.chain import Head
from pratique.capabilities.constraints import Arguments
from pratique.capabilities.diff import relabelled
from pratique.capabilities.policy import Policy
from pratique.capabilities.replay import Change, ErasedError, Group, Record, Replayer, Tally
from pratique.capabilities.snapshot import Snapshot
from pratique.errors import LedgerCorruptError, PolicyError
from pratique.ledger import queries
from pratique.ledger import tables as t
from pratique.ledger.door import Ledger
from pratique.ledger.search import KINDS, first_at
from pratique.model import ENGINE, Value

PAGE = 1000

NOTES = (
    "labels, taint and time are as recorded: nothing was labelled anew",
    "what an agent would have done after another answer is not known",
)

Progress = Callable[[int, int], None]
"""Called after each page with how far it is: the last record's number, and the last one there is."""


class Stretch(Value):
    """Which records to decide again; empty for all.

    Attributes:
        since_us, until_us: from this moment on, and before that one; 0 for none.
        session: of one session only.
        after: from the record after this number on: where an earlier run ended.
    """

    since_us: int = 0
    until_us: int = 0
    session: str = ""
    after: int = 0


class ReplayReport(Value):
    """What a policy would have made of a stretch of the log.

    Attributes:
        log, head: which log, and how long it was.
        engine: what decided now.
        target: digest of the policy that was compared with; empty if only the recorded ones were tried.
        target_name: where its text is from.
        recorded: digest of each recorded policy that decided → how many decisions.
        stretch: which records.
        last: the last record that was looked at: `after` for a run that goes on.
        decisions: how many were made again.
        counts: change → how many.
        groups: what changed, by tool and rule.
        relabelled: keys of the target that would label calls otherwise than some recorded policy.
        notes: what it does not say.
    """

    log: str
    head: Head
    engine: str
    target: str
    target_name: str
    recorded: dict[str, int]
    stretch: Stretch
    last: int
    decisions: int
    counts: dict[Change, int]
    groups: tuple[Group, ...]
    relabelled: tuple[str, ...] = ()
    notes: tuple[str, ...] = NOTES

    def count(self, change: Change) -> int:
        """Return how many decisions came out so."""
        return self.counts.get(change, 0)


def replay(
    ledger: Ledger,
    target: Snapshot | None,
    stretch: Stretch | None = None,
    *,
    name: str = "",
    progress: Progress | None = None,
) -> ReplayReport:
    """Decide a stretch of the log again.

    Args:
        ledger: whose log; its vault opens arguments.
        target: the policy to compare with; None to look only if the recorded ones agree.
        stretch: which records; left out, all.
        name: where the target's text is from, for the report.
        progress: told how far it is.

    Raises:
        LedgerUnavailableError: the log cannot be read.
    """
    return ledger.read(lambda connection: _Run(connection, ledger, target, stretch, name, progress).report())


class _Run:
    """One replay, in one view of the ledger."""

    def __init__(
        self,
        connection: Connection,
        ledger: Ledger,
        target: Snapshot | None,
        stretch: Stretch | None,
        name: str,
        progress: Progress | None,
    ) -> None:
        self._connection, self._ledger, self._target, self._name = connection, ledger, target, name
        self._stretch, self._progress = stretch or Stretch(), progress
        self._known: dict[str, Snapshot | None] = {}
        self._last = self._stretch.after

    def report(self) -> ReplayReport:
        """Go through the records, and return what came of it."""
        head, tally, recorded = queries.head(self._connection), Tally(), Counter[str]()
        replayer = Replayer(self._policy, self._target)
        rows = self._connection.execution_options(yield_per=PAGE).execute(self._chosen())
        while page := rows.fetchmany(PAGE):
            arguments = _Arguments(self._connection, self._ledger, page[0].seq, page[-1].seq)
            for row in page:  # parsed one by one: what is over is let go of before the next one is made
                record = orjson.loads(row[1])
                found = replayer.redecide(record, arguments)
                if found is not None:
                    tally.add(record, found)
                    recorded[record["policy_digest"]] += 1
            self._last = page[-1].seq
            if self._progress is not None:
                self._progress(self._last, head.seq)
        return ReplayReport(
            log=self._ledger.log,
            head=head,
            engine=ENGINE,
            target=self._target.policy.digest if self._target else "",
            target_name=self._name,
            recorded=dict(recorded),
            stretch=self._stretch,
            last=self._last,
            decisions=tally.total,
            counts=tally.counts,
            groups=tally.groups,
            relabelled=self._relabelled(recorded),
        )

    def _chosen(self) -> Select[Any]:
        wanted = self._stretch
        chosen = select(t.records.c.seq, t.records.c.body).where(
            t.records.c.type.in_(KINDS), t.records.c.seq > wanted.after
        )
        if wanted.session:
            chosen = chosen.where(t.records.c.session == wanted.session)
        if wanted.since_us:
            chosen = chosen.where(t.records.c.seq >= first_at(self._connection, wanted.since_us))
        if wanted.until_us:
            chosen = chosen.where(t.records.c.seq < first_at(self._connection, wanted.until_us))
        return chosen.order_by(t.records.c.seq)

    def _policy(self, digest: str) -> Snapshot | None:
        if digest not in self._known:
            self._known[digest] = self._read_policy(digest)
        return self._known[digest]

    def _read_policy(self, digest: str) -> Snapshot | None:
        text = queries.policy_text(self._connection, digest)
        if hashlib.sha256(text.encode()).hexdigest() != digest:
            return None
        try:
            return Snapshot(Policy(text, f"the policy {digest[:12]}"), 0)
        except PolicyError:
            return None

    def _relabelled(self, recorded: Iterable[str]) -> tuple[str, ...]:
        if self._target is None:
            return ()
        befores = (snapshot for digest in recorded if (snapshot := self._policy(digest)) is not None)
        keys = {key for before in befores for key in relabelled(before.policy, self._target.policy)}
        return tuple(sorted(keys))


class _Arguments:
    """The arguments of one page of records, read together when the first of them is asked for."""

    def __init__(self, connection: Connection, ledger: Ledger, first: int, last: int) -> None:
        self._connection, self._ledger = connection, ledger
        self._first, self._last = first, last
        self._sealed: dict[int, tuple[str, bytes]] | None = None

    def __call__(self, record: Record) -> Arguments:
        """Return a record's arguments.

        Raises:
            ErasedError: they are not there any more, or are not the ones that were recorded.
        """
        if self._sealed is None:
            self._sealed = self._read()
        subject, sealed = self._sealed.get(record["seq"], ("", b""))
        try:
            if not subject or not self._ledger.learn(self._connection, subject):
                raise ErasedError
            found = self._ledger.vault.open(subject, queries.about(record), sealed, record).get("args")
        except LedgerCorruptError:
            raise ErasedError from None
        if found is None or not found.genuine:
            raise ErasedError
        return dict(orjson.loads(found.value))

    def _read(self) -> dict[int, tuple[str, bytes]]:
        chosen = select(t.vault.c.seq, t.vault.c.subject, t.vault.c.sealed)
        rows = self._connection.execute(chosen.where(t.vault.c.seq.between(self._first, self._last)))
        return {seq: (subject, sealed) for seq, subject, sealed in rows}
