"""What people read: the queue a page at a time, and everything that belongs to one question.

Rules:
- Values come from the vault, checked against the record. What was erased is said to be erased; what cannot
  be shown in full cannot be answered.
- What a call gave is shown to those only who may see it: the caller decides who that is.
"""

from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import Connection

from pratique.approvals.desk import Desk
from pratique.approvals.dossier import Dossier, Earlier, HandOver, Ran, Vote, Wanting
from pratique.approvals.listing import MOST_ON_A_PAGE, Filter, Line, Page, cursor_of, place_of
from pratique.approvals.question import Question, question_of
from pratique.approvals.queue import Asked
from pratique.electorate import Electorate, Handed
from pratique.errors import LedgerCorruptError
from pratique.ledger import queries
from pratique.ledger import queries_approvals as asking
from pratique.ledger.door import Ledger
from pratique.ledger.queries_approvals import Chosen

MOST_EARLIER = 10
ENDED = ("approved", "started", "finished", "unknown", "rejected", "expired", "void", "edited")


class Reading:
    """Reads for people. Its methods block: call them in a thread.

    Args:
        ledger: where the questions are.
        desk: knows the groups of the policy in force.
    """

    def __init__(self, ledger: Ledger, desk: Desk) -> None:
        self._ledger, self._desk = ledger, desk

    def page(self, wanted: Filter | None = None, *, after: str = "", most: int = 50) -> Page:
        """Return a page of questions: open ones the most pressing first, others the newest first.

        Args:
            wanted: which.
            after: `Page.next` of the page before.
            most: how many, at most `MOST_ON_A_PAGE`.

        Raises:
            CursorError: `after` is no place that a page gave.
        """
        wanted = wanted or Filter()
        chosen, most = self._chosen(wanted), max(1, min(most, MOST_ON_A_PAGE))
        is_open = wanted.state == "proposed"

        def read(connection: Connection) -> Page:
            if is_open:
                rows = asking.most_urgent(connection, chosen, place_of(after, (int, int, str)), most + 1)
            else:
                rows = asking.newest(connection, chosen, place_of(after, (int, str)), most + 1)
            lines = tuple(self._line(connection, row) for row in rows[:most])
            last = rows[most - 1] if len(rows) > most else None
            return Page(
                lines=lines, total=asking.how_many(connection, chosen), next=cursor_of(last, is_open=is_open)
            )

        return self._ledger.read(read)

    def line(self, ticket: str) -> Line:
        """Return one question as it stands in the queue.

        Raises:
            UnknownTicketError: there is none.
        """

        def read(connection: Connection) -> Line:
            row = queries.approval(connection, ticket)
            question_of(row, ticket)
            return self._line(connection, row)

        return self._ledger.read(read)

    def dossier(self, ticket: str, reader: str = "", *, sees_results: bool = False) -> Dossier:
        """Return everything about one question.

        Args:
            ticket: the question.
            reader: who looks, as their login says.
            sees_results: whether they may see what the call gave.

        Raises:
            UnknownTicketError: there is none.
            LedgerCorruptError: what it asks was erased, or is not what was recorded.
        """
        queue, ledger = self._desk.queue, self._ledger
        question, asked, now_us = queue.look(ticket), queue.asked(ticket), ledger.clock()
        votes, handed = self._votes(ticket), self._hand_overs(ticket)
        over = tuple(Handed(one.by, one.to) for one in handed)
        electorate = question.electorate(asked.user, self._desk.members, over)
        yes = [one.voter for one in votes if one.vote == "approve"]
        proposed = ledger.read(lambda c: queries.record(c, question.proposed_seq)) or {}
        epoch = ledger.read(queries.epoch)
        return Dossier(
            question=question,
            card=asked.card,
            arguments_json=asked.args_json.decode(),
            user=asked.user,
            why=asked.why,
            policy=proposed.get("policy_digest", ""),
            current=question.epoch == epoch,
            votes=votes,
            wanting=_wanting(electorate, yes),
            electorate_groups=(*dict.fromkeys(need.approvers for need in question.needs), *electorate.wider),
            handed=handed,
            thread=tuple(self._desk.thread(ticket)),
            earlier=self._earlier(question),
            edit=asked.edited.told if asked.edited else None,
            why_not=self._desk.why_not(ticket, reader) if reader else "",
            now_us=now_us,
            wait_s=_left(question.wait_until_us, now_us) if question.state == "proposed" else 0,
            use_s=_left(question.use_until_us, now_us) if question.state == "approved" else 0,
            ran=self.ran(ticket, sees_results=sees_results),
        )

    def ran(self, ticket: str, *, sees_results: bool = False) -> Ran | None:
        """Return what ran because of a question and what came of it; None if nothing did (yet).

        Args:
            ticket: the question.
            sees_results: whether the reader may see what the call gave.
        """
        question = self._desk.queue.look(ticket)

        def read(connection: Connection) -> Ran | None:
            call = queries.call(connection, question.session, question.call_id, question.digest)
            if call is None or call.ticket != ticket:
                return None
            if not call.outcome_seq:
                return Ran(outcome="running", record=call.intent_seq)
            record = queries.record(connection, call.outcome_seq) or {}
            return Ran(
                outcome=record["outcome"],
                duration_us=record.get("dur_us", 0),
                result=self._result(connection, record) if sees_results else None,
                error=record["error"],
                level=record.get("level", ""),
                record=record["seq"],
            )

        return self._ledger.read(read)

    def _chosen(self, wanted: Filter) -> Chosen:
        states = {"any": (), "over": ENDED}.get(wanted.state, (wanted.state,))
        now_us = self._ledger.clock() if wanted.state == "proposed" else 0
        return Chosen(
            states=states,
            tool=wanted.tool,
            agent=wanted.agent,
            tier=wanted.tier or "",
            taint=wanted.taint or "",
            session=wanted.session,
            shape=wanted.shape,
            subject=self._ledger.vault.subject_id(wanted.person) if wanted.person else "",
            text=wanted.text.strip(),
            groups=self._desk.groups_of(wanted.mine) if wanted.mine else None,
            person=wanted.mine,
            now_us=now_us,
        )

    def _line(self, connection: Connection, row: Any) -> Line:
        question, now_us = question_of(row, row.ticket), self._ledger.clock()
        asked = self._asked(connection, question)
        late = question.state == "proposed" and not question.is_open(now_us)
        return Line(
            ticket=question.ticket,
            tool=question.tool,
            tier=question.tier,
            taint=question.taint,
            agent=question.agent,
            user=asked.user if asked else "",
            state="expired" if late else question.state,
            needs=question.needs,
            votes=question.votes,
            urgent=question.escalated_us > 0,
            age_s=(now_us - question.proposed_us) // 1_000_000,
            wait_s=_left(question.wait_until_us, now_us) if question.state == "proposed" else 0,
            proposed_us=question.proposed_us,
            wait_until_us=question.wait_until_us,
            shape=question.shape,
            session=question.session,
            epoch=question.epoch,
            destination=asked.card.confirm if asked else "",
            refuses=asked.card.refuses if asked else "what it asks was erased, or is not what was recorded",
            edited_from=question.edited_from,
            edited_by=question.edited_by,
            decided_by=question.decided_by,
            reason=question.reason,
        )

    def _asked(self, connection: Connection, question: Question) -> Asked | None:
        try:
            return self._desk.queue.asked_in(connection, question)
        except LedgerCorruptError:
            return None

    def _votes(self, ticket: str) -> tuple[Vote, ...]:
        rows = self._ledger.read(lambda c: queries.votes(c, ticket))
        return tuple(Vote(voter=row.voter, vote=row.vote, reason=row.reason, ts_us=row.ts_us) for row in rows)

    def _hand_overs(self, ticket: str) -> tuple[HandOver, ...]:
        rows = self._ledger.read(lambda c: asking.hand_overs(c, ticket))
        return tuple(HandOver(by=row.person, to=row.heir, reason=row.reason, ts_us=row.ts_us) for row in rows)

    def _earlier(self, question: Question) -> tuple[Earlier, ...]:
        if not question.shape:
            return ()
        rows = self._ledger.read(lambda c: asking.of_shape(c, question.shape, question.ticket, MOST_EARLIER))
        return tuple(
            Earlier(
                ticket=row.ticket,
                state=row.state,
                decided_by=tuple(orjson.loads(row.decided_by)),
                reason=row.reason,
                proposed_us=row.proposed_us,
                taint=row.taint,
            )
            for row in rows
        )

    def _result(self, connection: Connection, record: queries.Record) -> str | None:
        owner = queries.subject_of(connection, record["seq"])
        if owner is None or not self._ledger.learn(connection, owner):
            return None
        found = queries.values(connection, self._ledger.vault, record).get("result")
        return found.value.decode() if found is not None and found.genuine else None


def _wanting(electorate: Electorate, yes: Sequence[str]) -> tuple[Wanting, ...]:
    return tuple(
        Wanting(
            rule=need.rule,
            approvers=need.approvers,
            quorum=need.quorum,
            given=electorate.yes_for(need, yes),
        )
        for need in electorate.needs
    )


def _left(until_us: int, now_us: int) -> int:
    return max(0, until_us - now_us) // 1_000_000
