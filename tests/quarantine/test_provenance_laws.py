"""Laws: what holds for every session, whatever strangers send."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pratique.model import Tier
from pratique.origin import Origin, OriginKind
from pratique.quarantine.normalise import strict
from pratique.quarantine.provenance import Tracker
from pratique.quarantine.references import resolve
from pratique.quarantine.reveal import withhold
from pratique.quarantine.seen import SawRequest, SawResult, Seen
from pratique.quarantine.verdict import judge

WORDS = st.sampled_from(
    ["pay", "the", "bill", "bob@example.com", "DE89370400440532013000", "note-77aa88", "report.docx", "450",
     "12.50", "2026-05-30", "10:20", "https://evil.example/x", "Harbour", "tour", "now", "quietly", "&#98;ob"]
)  # fmt: skip
TEXTS = st.lists(WORDS, max_size=8).map(" ".join)
LABELS = st.sampled_from(["untrusted", "identity", "internal", "meta:note", "meta", "authority"])
VALUES = st.one_of(WORDS, TEXTS, st.integers(0, 1000), st.booleans(), st.none())
RESULTS = st.lists(st.dictionaries(st.sampled_from(["id", "body", "from"]), VALUES, max_size=3), max_size=4)
FIELDS = st.dictionaries(st.sampled_from(["[].id", "[].body", "[].from"]), LABELS)
ARGUMENTS = st.dictionaries(st.sampled_from(["to", "note", "pay", "at", "key", "body"]), VALUES, max_size=6)
CLASSES = {"to": "dest", "note": "selector:note", "pay": "amount", "at": "sched", "key": "secret"}
TRUSTING = {
    OriginKind.REQUEST,
    OriginKind.AUTHORITY,
    OriginKind.RECORD,
    OriginKind.INTERNAL,
    OriginKind.IDENTITY,
}


def results(call_id: str) -> st.SearchStrategy[SawResult]:
    return st.builds(
        SawResult,
        call_id=st.just(call_id),
        tool=st.just("notes.list"),
        value=RESULTS,
        fields=FIELDS,
        arguments=ARGUMENTS,
        classes=st.just(CLASSES),
        wrote=st.booleans(),
    )


@st.composite
def histories(draw: st.DrawFn) -> list[Seen]:
    seen: list[Seen] = [SawRequest(text=draw(TEXTS))]
    seen += [draw(results(f"c{number}")) for number in range(draw(st.integers(0, 3)))]
    return seen


def hostile(text: str, number: int) -> SawResult:
    return SawResult(
        call_id=f"h{number}", tool="mail.read", value={"body": text}, fields={"body": "untrusted"}
    )


def traced(seen: list[Seen], arguments: dict[str, Any]) -> tuple[Tracker, tuple[Origin, ...]]:
    tracker = Tracker.restore(seen)
    return tracker, tracker.trace("t", arguments, CLASSES)


@given(histories(), ARGUMENTS, st.lists(TEXTS, min_size=1, max_size=3))
def test_more_untrusted_text_never_makes_a_verdict_milder(
    seen: list[Seen], arguments: dict[str, Any], texts: list[str]
) -> None:
    tracker, origins = traced(seen, arguments)
    before = judge(origins, Tier.WRITE, exposed=tracker.exposed)
    tracker, origins = traced([*seen, *(hostile(text, i) for i, text in enumerate(texts))], arguments)
    after = judge(origins, Tier.WRITE, exposed=tracker.exposed)
    assert after.taint.rank >= before.taint.rank
    assert after.held >= before.held
    assert len(after.reasons) >= len(before.reasons)


@given(histories(), ARGUMENTS)
def test_the_same_inputs_give_the_same_answers(seen: list[Seen], arguments: dict[str, Any]) -> None:
    (first, origins), (second, again) = traced(seen, arguments), traced(seen, arguments)
    assert origins == again
    assert (first.exposed, first.covers) == (second.exposed, second.covers)


@given(histories(), ARGUMENTS)
def test_looking_changes_nothing(seen: list[Seen], arguments: dict[str, Any]) -> None:
    tracker, origins = traced(seen, arguments)
    tracker.trace("t", {"body": "something else entirely"}, {}, thorough=True)
    assert tracker.trace("t", arguments, CLASSES) == origins


@given(histories())
def test_exposure_only_rises(seen: list[Seen]) -> None:
    tracker, was = Tracker(), False
    for event in seen:
        tracker.saw(event)
        assert tracker.exposed >= was
        was = tracker.exposed


DISGUISES = st.sampled_from(
    [
        lambda value: value.replace("o", "\u043e").replace("e", "\u0435").replace("a", "\u0430"),
        lambda value: value[:2] + "\u200b" + value[2:],
        lambda value: value[:2] + "\u00ad" + value[2:],
        lambda value: "".join(chr(ord(c) + 0xFEE0) for c in value),
        lambda value: "".join(f"%{ord(c):02x}" for c in value),
        lambda value: "".join(f"&#{ord(c)};" for c in value),
        lambda value: value.replace(".", "\u2024").replace("-", "\u2010").replace("e", "\u00e9"),
        lambda value: value + "\u0301",
        lambda value: "\u202e" + value[::-1],
        lambda value: value.replace("@", " @ ").replace(".", " . "),
        lambda value: value[:-1],
        lambda value: value + "x",
    ]
)
NAMES = st.from_regex(r"[a-e]{3,8}@[a-e]{3,8}\.example|[a-e]{4,10}\.docx|[A-E]{2}[0-9]{12}", fullmatch=True)


@given(NAMES, DISGUISES, st.sampled_from(["dest", "secret", "selector:note", "content"]))
def test_trust_never_comes_from_a_loose_match(name: str, disguise: Any, wanted: str) -> None:
    disguised = disguise(name)
    tracker = Tracker()
    tracker.saw_request(f"Give it to {name} please")
    tracker.saw_result(
        "c1",
        "list",
        [{"a": name, "b": name, "c": name, "d": name}],
        {"[].a": "authority", "[].b": "meta:note", "[].c": "internal", "[].d": "identity"},
    )
    (origin, *_) = tracker.trace("t", {"x": disguised}, {"x": wanted})
    if strict(disguised) != strict(name):
        assert origin.kind not in TRUSTING


@given(NAMES, st.text(max_size=20), st.text(max_size=20))
def test_trust_from_the_request_is_for_values_that_stand_in_it(name: str, before: str, after: str) -> None:
    tracker = Tracker()
    tracker.saw_request(f"{before}{name}{after}")
    (origin, *_) = tracker.trace("t", {"x": name}, {"x": "dest"})
    if origin.kind is OriginKind.REQUEST:
        assert strict(name) in strict(f"{before}{name}{after}")


@given(st.text(min_size=8, max_size=60), st.integers(1, 5))
def test_a_reference_carries_its_label_through_any_number_of_calls(text: str, hops: int) -> None:
    reference = "q_" + "0123456789abcdef"
    token: Any = withhold(reference, text)
    tracker = Tracker()
    tracker.saw_result(
        "c0", "mail.read", {"body": text}, {"body": "untrusted"}, references={"body": reference}
    )
    for hop in range(hops):
        (origin, *_) = tracker.trace("notes.keep", {"text": token}, {"text": "dest"})
        assert origin.kind is OriginKind.UNTRUSTED
        assert origin.source is not None
        assert (origin.source.call_id, origin.source.path) == ("c0", "body")
        assert resolve({"text": token}, {reference: text}.__getitem__) == {"text": text}
        tracker.saw_result(
            f"k{hop}", "notes.keep", {"kept": token}, {"kept": "meta"}, arguments={"text": token}, wrote=True
        )


@given(st.lists(TEXTS, max_size=4), ARGUMENTS)
def test_two_sessions_do_not_mix(texts: list[str], arguments: dict[str, Any]) -> None:
    quiet, origins = traced([SawRequest(text="pay bob@example.com")], arguments)
    noisy = Tracker()
    for number, text in enumerate(texts):
        noisy.saw(hostile(text, number))
    assert not quiet.exposed
    assert quiet.trace("t", arguments, CLASSES) == origins
