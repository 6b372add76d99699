"""Exports are what the formats' own schemas and libraries take; they go on, and hold nobody's data."""

import base64
import csv
import io
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import orjson
import pytest
from cloudevents.core.formats.json import JSONFormat
from google.protobuf import json_format
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData
from typer.testing import CliRunner

from pratique.audit.exports import table
from pratique.cli import app
from pratique.ledger.door import Ledger
from pratique.ledger.exporting import Format, export
from tests.house import Clock, House, answer, opened, records, reject

CARD = "4111 1111 1111 1111"
EVIL = "=HYPERLINK(1)"


@pytest.fixture
async def lived(house: House, clock: Clock) -> Ledger:
    """A log with every kind of call in it: done, failed, denied, asked, unknown tools, hostile text."""
    runtime = house.runtime()
    session = await opened(runtime)
    await session.call("desk.look", {"text": "a"})
    clock.forward(2)
    await session.call("desk.mail")
    await session.call("desk.note", {"text": f"{CARD} mo@evil.example", "then": "refuse"})
    await session.call(EVIL, {})
    await session.call("desk.note", {"wrong": "mo@evil.example"})
    for say in (answer, reject):
        ticket = (await session.call("desk.pay", {"to": "mo", "amount": 1})).ticket
        say(runtime, ticket)
        await session.redeem(ticket)
    session.finish("done", f"paid {CARD}")
    await session.aclose()
    return runtime.ledger


def exported(ledger: Ledger, form: Format, **more: Any) -> list[bytes]:
    chunks = ledger.read(lambda c: list(export(c, form, ledger.log, "0.0.0", **more)))
    return b"".join(chunk.text for chunk in chunks).splitlines()


def parsed(ledger: Ledger, form: Format) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in exported(ledger, form)]


@cache
def ocsf_schema(name: str) -> dict[str, Any]:
    profiles = ["security_control"] if name == "api_activity" else []
    return dict(OcsfJsonSchemaEmbedded(get_ocsf_schema("1.8.0")).get_class_schema(name, profiles))


def test_every_record_is_an_ocsf_event_by_the_published_schema(lived: Ledger) -> None:
    events = parsed(lived, Format.OCSF)
    assert [event["metadata"]["sequence"] for event in events] == [r["seq"] for r in records(lived)]
    for event in events:
        jsonschema.validate(event, ocsf_schema({6003: "api_activity", 0: "base_event"}[event["class_uid"]]))
        assert event["type_uid"] == event["class_uid"] * 100 + event["activity_id"]
    calls = {
        (e["api"]["operation"], e["status"], e["disposition"])
        for e in events
        if e["metadata"]["event_code"] == "call.outcome"
    }
    assert ("desk.look", "Success", "Allowed") in calls
    assert ("desk.note", "Failure", "Allowed") in calls
    assert (EVIL, "Failure", "Blocked") in calls


def test_the_schema_would_find_what_is_wrong(lived: Ledger) -> None:
    event = next(event for event in parsed(lived, Format.OCSF) if event["class_uid"] == 6003)
    for broken in (
        {**event, "severity_id": 42},
        {k: v for k, v in event.items() if k != "actor"},
        {**event, "x": 1},
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(broken, ocsf_schema("api_activity"))


def spans(ledger: Ledger) -> list[Any]:
    """Return the spans as the published protocol's own messages; a field that it has not is an error."""
    found = []
    for line in exported(ledger, Format.OTLP):
        data = orjson.loads(line)
        for resource in data["resourceSpans"]:
            for scope in resource["scopeSpans"]:
                for span in scope["spans"]:
                    for name in ("traceId", "spanId", "parentSpanId"):
                        if name in span:  # OTLP writes ids in hex, where Protobuf's JSON has base64
                            span[name] = base64.b64encode(bytes.fromhex(span[name])).decode()
        message = json_format.ParseDict(data, TracesData())
        found += [s for r in message.resource_spans for scope in r.scope_spans for s in scope.spans]
    return found


def test_calls_and_sessions_are_spans_of_the_published_protocol(lived: Ledger) -> None:
    found = spans(lived)
    outcomes = records(lived, "call.outcome")
    assert len(found) == len(outcomes) + 1
    session = found[-1]
    assert session.name == "invoke_agent support"
    assert session.end_time_unix_nano - session.start_time_unix_nano == 2_000_000_000
    assert len({span.span_id for span in found}) == len(found)
    for span, record in zip(found, outcomes, strict=False):
        assert (len(span.trace_id), len(span.span_id), span.parent_span_id) == (16, 8, session.span_id)
        assert span.name == f"execute_tool {record['tool']}"
        assert span.status.code == (1 if record["outcome"] == "done" else 2)
        said = {attribute.key: attribute.value for attribute in span.attributes}
        assert said["gen_ai.tool.call.id"].string_value == record["call_id"]
        assert said["pratique.record"].int_value == record["seq"]
    assert spans(lived) == found, "the same each time: a receiver can tell what it has"


def test_every_record_is_a_cloud_event_that_the_official_library_takes(lived: Ledger) -> None:
    for line, record in zip(exported(lived, Format.CLOUDEVENTS), records(lived), strict=True):
        event = JSONFormat().read(None, line)
        assert event.get_id() == str(record["seq"])
        assert event.get_source() == f"urn:pratique:{lived.log}"
        assert event.get_type() == f"dev.pratique.{record['type']}"
        assert event.get_time() is not None
        names = orjson.loads(line).keys() - {"data"}
        assert all(name.isalnum() and name.islower() and len(name) <= 20 for name in names), "CloudEvents 1.0"


def test_the_table_is_read_by_the_csv_library_and_starts_no_formula(lived: Ledger) -> None:
    text = b"\n".join(exported(lived, Format.CSV)).decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [int(row["seq"]) for row in rows] == [record["seq"] for record in records(lived)]
    assert {len(row) for row in rows} == {len(table.COLUMNS)}
    assert f"'{EVIL}" in {row["tool"] for row in rows}
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row.values())


@pytest.mark.parametrize("form", Format)
def test_no_personal_data_leaves_unless_names_are_asked_for(lived: Ledger, form: Format) -> None:
    assert "li@acme.example" in str(records(lived)), "otherwise looking for it proves nothing"
    text = b"\n".join(exported(lived, form))
    for private in (b"@acme.example", b"@evil.example", CARD.encode()):
        assert private not in text, private
    if form is not Format.OTLP:
        assert b"li@acme.example" in b"\n".join(exported(lived, form, people=True))
        assert b"@evil.example" not in b"\n".join(exported(lived, form, people=True))


@pytest.mark.parametrize("form", [Format.OCSF, Format.CLOUDEVENTS, Format.CSV])
def test_an_export_that_goes_on_leaves_nothing_out_and_repeats_nothing(lived: Ledger, form: Format) -> None:
    whole = exported(lived, form)
    for after in (1, 5, len(records(lived))):
        first = len(whole) - (len(records(lived)) - after)
        assert whole[:first] + exported(lived, form, after=after) == whole


async def test_the_command_appends_and_says_where_to_go_on(
    house: House, lived: Ledger, tmp_path: Path
) -> None:
    config, target = tmp_path / "pratique.toml", tmp_path / "out.jsonl"
    config.write_text(f'folder = "{house.folder}"\n')
    last = records(lived)[-1]["seq"]
    command = ["audit", "export", "ocsf", "-c", str(config), "-o", str(target)]
    first = CliRunner().invoke(app, command)
    assert (first.exit_code, f"--after {last}" in first.stderr) == (0, True)
    again = CliRunner().invoke(app, [*command, "--after", str(last)])
    assert (again.exit_code, len(target.read_bytes().splitlines())) == (0, last)
    nowhere = CliRunner().invoke(app, [*command[:-1], str(tmp_path / "no" / "where")])
    assert nowhere.exit_code == 2
