"""What each record about deciding says, beside the question itself (`pratique.audit.drafts`).

Rules:
- Approvers are named in clear, as they are where they vote. The agent's person is not: their name, like what
  anybody wrote in a thread or a pattern, is a value that the record only commits to.
- `tell` says that people are to be told: it puts a notice into the outbox, in the same transaction.
"""

from pratique.audit.record import Draft
from pratique.model import clip


def edited(ticket: str, session: str, by: str, edited_to: str, reason: str) -> Draft:
    """Draft the end of a question whose call a person edited."""
    return {
        "type": "approval.edited",
        "session": session,
        "ticket": ticket,
        "by": by,
        "edited_to": edited_to,
        "reason": clip(reason),
        "tell": "edited",
    }


def handed(ticket: str, session: str, by: str, to: str, reason: str) -> Draft:
    """Draft that an approver handed a question to somebody, and has no say in it any more."""
    return {
        "type": "approval.handed",
        "session": session,
        "ticket": ticket,
        "by": by,
        "to": to,
        "reason": clip(reason),
        "tell": "handed",
    }


def escalated(ticket: str, session: str, to: list[str]) -> Draft:
    """Draft that half of a question's time has passed, and who may answer it as well from now on."""
    return {
        "type": "approval.escalated",
        "session": session,
        "ticket": ticket,
        "to": to,
        "tell": "escalated",
    }


def remark(ticket: str, session: str, kind: str, speaker: str) -> Draft:
    """Draft a line of a question's thread: `question` by an approver, or `answer` by the agent's person."""
    return {
        "type": "approval.remark",
        "session": session,
        "ticket": ticket,
        "kind": kind,
        "speaker": speaker,
        "tell": kind,
    }


def standing_made(  # noqa: PLR0913  # one argument per fact of the record
    standing: str,
    *,
    by: str,
    agent: str,
    tenant: str,
    tool: str,
    tool_digest: str,
    max_uses: int,
    expires_us: int,
    epoch: int,
    reason: str,
) -> Draft:
    """Draft a yes that is given beforehand. Its pattern is a value."""
    return {
        "type": "standing.made",
        "standing": standing,
        "by": by,
        "agent": agent,
        "tenant": tenant,
        "tool": tool,
        "tool_digest": tool_digest,
        "max_uses": max_uses,
        "expires_us": expires_us,
        "epoch": epoch,
        "reason": clip(reason),
    }


def standing_joined(standing: str, by: str) -> Draft:
    """Draft that one more person stands behind it."""
    return {"type": "standing.joined", "standing": standing, "by": by}


def standing_revoked(standing: str, by: str, reason: str) -> Draft:
    """Draft its end."""
    return {"type": "standing.revoked", "standing": standing, "by": by, "reason": clip(reason)}


def delivery(notice: int, channel: str, state: str, attempts: int, next_us: int, problem: str) -> Draft:
    """Draft what became of a notice on one channel: `trying` (before each attempt), `sent` or `given up`."""
    return {
        "type": "notice.delivery",
        "notice": notice,
        "channel": channel,
        "state": state,
        "attempts": attempts,
        "next_us": next_us,
        "problem": clip(problem),
    }
