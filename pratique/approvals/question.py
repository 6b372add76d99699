"""A question as it stands: one row of the ledger, in words."""

from typing import Any

import orjson

from pratique.electorate import Electorate, Handed, Members
from pratique.errors import UnknownTicketError
from pratique.model import Need, Tier, Value


class Question(Value):
    """A question and how it stands.

    `state` is proposed → approved → started → finished | unknown, or ends rejected, expired, void or edited.

    Attributes:
        escalate_to: who may answer as well from `escalate_us` on: groups, or `person:NAME`.
        escalated_us: since when they may; 0 for not yet.
        edited_from, edited_by: the question that this one was made of, and who did.
        edited_to: the question that was made of this one.
        shape: what calls of the same kind have in common (agent, tool, declaration, names of arguments).
        changes: hand-overs and escalations so far.
    """

    ticket: str
    session: str
    call_id: str
    digest: str
    card_digest: str
    epoch: int
    agent: str
    tool: str
    tier: str
    taint: str
    needs: tuple[Need, ...]
    state: str
    reason: str
    decided_by: tuple[str, ...]
    votes: int
    proposed_seq: int
    proposed_us: int
    wait_until_us: int
    use_until_us: int
    shape: str
    escalate_to: tuple[str, ...]
    escalate_us: int
    escalated_us: int
    edited_from: str
    edited_to: str
    edited_by: str
    changes: int

    def is_open(self, now_us: int) -> bool:
        """Return whether it can still be answered."""
        return self.state == "proposed" and now_us < self.wait_until_us

    def electorate(self, user: str, members: Members, handed: tuple[Handed, ...]) -> Electorate:
        """Return who may answer it.

        Args:
            user: on whose behalf it was asked.
            members: the groups, by the policy in force.
            handed: its hand-overs, in order.
        """
        return Electorate(
            needs=self.needs,
            user=user,
            members=members,
            handed=handed,
            wider=self.escalate_to if self.escalated_us else (),
            editor=self.edited_by,
            irreversible=self.tier == Tier.IRREVERSIBLE,
        )


def question_of(row: Any, ticket: str) -> Question:
    """Return the question in a row of `approvals`.

    Raises:
        UnknownTicketError: there is no row.
    """
    if row is None:
        raise UnknownTicketError(f"no question has the ticket {ticket!r}; see `pratique approvals list`")
    return Question(
        ticket=row.ticket,
        session=row.session,
        call_id=row.call,
        digest=row.digest,
        card_digest=row.card_digest,
        epoch=row.epoch,
        agent=row.agent,
        tool=row.tool,
        tier=row.tier,
        taint=row.taint,
        needs=tuple(Need.model_validate(need) for need in orjson.loads(row.needs)),
        state=row.state,
        reason=row.reason,
        decided_by=tuple(orjson.loads(row.decided_by)),
        votes=row.votes,
        proposed_seq=row.proposed_seq,
        proposed_us=row.proposed_us,
        wait_until_us=row.wait_until_us,
        use_until_us=row.use_until_us,
        shape=row.shape,
        escalate_to=tuple(orjson.loads(row.escalate_to)),
        escalate_us=row.escalate_us,
        escalated_us=row.escalated_us,
        edited_from=row.edited_from,
        edited_to=row.edited_to,
        edited_by=row.edited_by,
        changes=row.changes,
    )
