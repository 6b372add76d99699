"""A span for each call, by OpenTelemetry's conventions for generative AI (`execute_tool`).

Rules:
- Only the API is used: without an SDK that the host sets up, a span is nothing and costs next to nothing.
- A span says which tool, which call, how it was decided and what became of it. It has no argument, no result,
  no person's name. A tool that does not exist has no name: that would be text of the agent's.
- It belongs to whatever trace is current; the session's own trace id is an attribute.

Source: OpenTelemetry semantic conventions for generative AI, "Execute tool span".
"""

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from pratique.model import Outcome, Subject
from pratique.model import Status as Became

_TRACER = trace.get_tracer("pratique")
_BAD = {Became.FAILED, Became.UNKNOWN}


class CallSpan:
    """The span of one call that is under way.

    Args:
        span: of OpenTelemetry.
    """

    def __init__(self, span: Span) -> None:
        self._span = span

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


@contextmanager
def call_span(subject: Subject) -> Iterator[CallSpan]:
    """Give the span of a call; an exception inside is its error, by type and without its text."""
    with _TRACER.start_as_current_span(
        "execute_tool", kind=SpanKind.INTERNAL, record_exception=False, set_status_on_exception=False
    ) as span:
        if span.is_recording():
            span.set_attributes(
                {
                    "gen_ai.operation.name": "execute_tool",
                    "gen_ai.tool.type": "function",
                    "gen_ai.agent.name": subject.agent,
                    "gen_ai.conversation.id": subject.session,
                    "pratique.trace_id": subject.trace_id,
                }
            )
        try:
            yield CallSpan(span)
        except BaseException as problem:
            span.set_attribute("error.type", type(problem).__name__)
            span.set_status(Status(StatusCode.ERROR))
            raise
