"""Calls that code in a sandbox asks for: each is a governed call of the session in which the code runs.

Rules:
- The subject is the session's: code asks on behalf of the agent that handed it over, and may do no more.
- What the code was made of and was given taints whatever it asks for. Nobody can follow a value through
  somebody's program, so its arguments are not cleaner than the program's own (`stages.resolve`).
- A call that needs a person waits no longer than the outer call would, and no longer than the run has left.
  Then its question stays open: the agent may go on with its ticket.
- So many calls a run, one at a time; each has its id from the outer call's, so that a run which is made again
  under the same id does not do twice what it did once.
"""

import hashlib
from typing import Any

from pratique.errors import ToolError
from pratique.model import Call, Code, Integrity, Outcome, Taint
from pratique.sessions.session import Session

MOST_CALLS = 64
"""Calls that the code of one call may make."""

_LONGEST_ID = 120


class CodeCalls:
    """Makes the calls of the code of one call. It is a `tools.sandboxed.CodeCalls`.

    Args:
        session: in which the code runs.
        outer: the call that handed the code over.
    """

    def __init__(self, session: Session, outer: Call) -> None:
        self._session, self._outer = session, outer
        self._taint = outer.taint
        self._made = 0

    async def __call__(self, tool: str, args: Any, patience: float) -> Outcome:
        """Make a call on behalf of the code; see `tools.sandboxed.CodeCalls`.

        Raises:
            ToolError: it has made too many.
        """
        self._made += 1
        if self._made > MOST_CALLS:
            raise ToolError(f"{tool}: more than {MOST_CALLS} calls in one run")
        outer = self._outer.request
        outcome = await self._session.call_for_code(
            Code(call_id=outer.call_id, tool=outer.tool, taint=self._taint),
            tool,
            args,
            call_id=f"{_short(outer.call_id)}.{self._made}",
            wait=max(0.0, min(outer.wait, patience)),
        )
        if outcome.label.integrity is Integrity.UNTRUSTED:
            self._taint = Taint.highest(self._taint, Taint.ARGUMENT)
        return outcome


def _short(call_id: str) -> str:
    """Return the beginning of an inner call's id: the outer's, or what stands for one that is too long."""
    if len(call_id) <= _LONGEST_ID:
        return call_id
    return hashlib.sha256(call_id.encode()).hexdigest()
