"""What is measured: counted from the log, without anything that was asked for; and a span for each call."""

import asyncio

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client.parser import text_string_to_metric_families

from pratique.server.app import Secrets, create_app
from pratique.sessions import spans
from pratique.settings_sections import ServerSettings
from tests.house import Clock, House, answer, opened, reject
from tests.server.front import Front
from tests.server.test_keys import PAY
from tests.server.test_keys import opened as opened_over_http
from tests.server.test_people_api import asked

HIDDEN = "the account of the queen"


async def read(front: Front) -> dict[str, float]:
    text = (await front.client().get("/metrics")).text
    return {
        sample.name + "".join(f"|{value}" for _, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_the_log_is_counted_whoever_wrote_it(front: Front, house: House, clock: Clock) -> None:
    agent, session, first = await asked(front)
    elsewhere = house.runtime()
    clock.forward(60)
    await asyncio.to_thread(answer, elsewhere, first)
    await agent.post(f"{session}/tickets/{first}/redeem", json={})
    second = (await agent.post(f"{session}/calls", json={**PAY, "args": {"to": HIDDEN, "amount": 2}})).json()
    await asyncio.to_thread(reject, front.runtime, second["ticket"])
    await agent.post(f"{session}/calls", json={**PAY, "args": {"to": "mo", "amount": 3}})
    await agent.post(f"{session}/calls", json={"tool": "no.such.tool"})
    clock.forward(30)
    found = await read(front)
    assert found["pratique_questions_total|asked"] == 3
    assert found["pratique_questions_total|approved"] == 1
    assert found["pratique_questions_total|rejected"] == 1
    assert found["pratique_queue_depth"] == 1
    assert found["pratique_queue_oldest_seconds"] == 30
    assert found["pratique_calls_total|done|irreversible"] == 1
    assert found["pratique_calls_total|denied|none"] == 1
    assert found["pratique_question_wait_seconds_sum|approved"] == 60
    assert found["pratique_decision_seconds_count"] >= 3
    assert found["pratique_ledger_batch_entries_count"] >= 5
    assert await read(front) == found | await read(front)
    await agent.post(f"{session}/close", json={})
    assert (await read(front))["pratique_session_questions_sum"] == 3


async def test_nothing_that_was_asked_for_is_in_the_metrics(front: Front) -> None:
    agent = front.agent()
    session = await opened_over_http(agent)
    await agent.post(f"{session}/calls", json={**PAY, "args": {"to": HIDDEN, "amount": 2}})
    await agent.post(f"{session}/calls", json={"tool": HIDDEN.replace(" ", ".")})
    text = (await front.client().get("/metrics")).text
    for word in ("queen", "kim", "support", "desk"):
        assert word not in text


@pytest.mark.parametrize(
    ("settings", "token", "shown", "status"),
    [
        (ServerSettings(), "", "", 200),
        (ServerSettings(), "t0ken", "", 401),
        (ServerSettings(), "t0ken", "Bearer t0ken", 200),
        (ServerSettings(), "t0ken", "Bearer t0keN", 401),
        (ServerSettings(unencrypted_behind_tls_proxy=True), "", "", 401),
        (ServerSettings(host="10.0.0.1", unencrypted_behind_tls_proxy=True), "", "Bearer ", 401),
    ],
)
async def test_the_metrics_are_for_this_machine_or_for_the_token(
    front: Front, settings: ServerSettings, token: str, shown: str, status: int
) -> None:
    front.app = create_app(front.runtime, settings, secrets=Secrets(metrics=token), close=False)
    headers = {"Authorization": shown} if shown else {}
    assert (await front.client().get("/metrics", headers=headers)).status_code == status


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(spans, "_TRACER", provider.get_tracer("test"))
    return exporter


async def test_a_call_has_a_span_that_says_what_became_of_it_and_no_argument(
    house: House, exported: InMemorySpanExporter
) -> None:
    session = await opened(house.runtime())
    await session.call("desk.look", {"text": HIDDEN}, call_id="c1")
    await session.call("desk.note", {"text": HIDDEN, "then": "raise"})
    await session.call("no.such.tool", {"text": HIDDEN})
    done, broken, denied = exported.get_finished_spans()
    assert done.name == "execute_tool desk.look"
    assert done.attributes is not None
    assert dict(done.attributes) == {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.type": "function",
        "gen_ai.tool.name": "desk.look",
        "gen_ai.tool.call.id": "c1",
        "gen_ai.agent.name": "support",
        "gen_ai.conversation.id": session.id,
        "pratique.trace_id": session.trace_id,
        "pratique.decision": "allow",
        "pratique.outcome": "done",
        "pratique.tier": "read",
        "pratique.ticket": "",
        "pratique.record": done.attributes["pratique.record"],
    }
    assert broken.status.status_code is trace.StatusCode.ERROR
    assert denied.name == "execute_tool unknown"
    assert "queen" not in "".join(span.to_json() for span in (done, broken, denied))


async def test_a_call_over_http_is_part_of_the_caller_s_trace(
    front: Front, exported: InMemorySpanExporter
) -> None:
    agent = front.agent()
    session = await opened_over_http(agent)
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    headers = {"traceparent": f"00-{trace_id}-b7ad6b7169203331-01"}
    look = {"tool": "desk.look", "args": {"text": "x"}}
    await agent.post(f"{session}/calls", json=look, headers=headers)
    await agent.post(f"{session}/calls", json=look)
    one, other = exported.get_finished_spans()
    assert f"{one.context.trace_id:032x}" == trace_id
    assert one.context.trace_id != other.context.trace_id
