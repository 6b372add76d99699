"""A span for each call, by OpenTelemetry's conventions for generative AI (`execute_tool`).

Rules:
- Only the API is used: without an SDK that the host sets up, a span is nothing and costs next to nothing.
- A span says which tool, which call, how it was decided and what became of it. It has no argument, no result,
  no person's name. A tool that does not exist has no name: that would be text of the agent's.
- It belongs to whatever trace is current; the session's own trace id is an attribute.

Source: OpenTelemetry semantic conventions for generative AI, "Execute tool span".
"""

from types import TracebackType
from typing import Self

from opentelemetry import trace
from opentelemetry.context import attach, detach
from opentelemetry.trace import INVALID_SPAN, SpanKind, Status, StatusCode, set_span_in_context

from pratique.model import Outcome, Subject
from pratique.model import Status as Became

_TRACER = trace.get_tracer("pratique")
_BAD = {Became.FAILED, Became.UNKNOWN}


class CallSpan:
    """The span of one call: current while it is under way, and ended with it.

    An exception inside is its error, by type and without its text.

    Args:
        subject: who calls.
    """

    def __init__(self, subject: Subject) -> None:
        self._subject = subject

    def __enter__(self) -> Self:
        span = self._span = _TRACER.start_span("execute_tool", kind=SpanKind.INTERNAL)
        # Without an SDK there may be nothing that children could belong to.
        self._before = None if span is INVALID_SPAN else attach(set_span_in_context(span))
        if span.is_recording():
            subject = self._subject
            span.set_attributes(
                {
                    "gen_ai.operation.name": "execute_tool",
                    "gen_ai.tool.type": "function",
                    "gen_ai.agent.name": subject.agent,
                    "gen_ai.conversation.id": subject.session,
                    "pratique.trace_id": subject.trace_id,
                }
            )
        return self

    def became(self, outcome: Outcome) -> None:
        """Say what became of the call."""
        span = self._span
        if not span.is_recording():
            return
        name = outcome.tool if outcome.tier is not None else "unknown"
        span.update_name(f"execute_tool {name}")
        span.set_attributes(
            {
                "gen_ai.tool.name": name,
                "gen_ai.tool.call.id": outcome.call_id,
                "pratique.decision": outcome.decision,
                "pratique.outcome": outcome.status.value,
                "pratique.tier": outcome.tier.value if outcome.tier is not None else "",
                "pratique.ticket": outcome.ticket,
                "pratique.record": outcome.record or 0,
            }
        )
        if outcome.status in _BAD:
            span.set_attribute("error.type", outcome.status.value)
            span.set_status(Status(StatusCode.ERROR))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._span.set_attribute("error.type", kind.__name__)
            self._span.set_status(Status(StatusCode.ERROR))
        if self._before is not None:
            detach(self._before)
        self._span.end()
