"""Promise 4: a changed, removed, reordered or truncated record is found by anyone who holds one head."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pratique.audit.chain import Head, Report, Verdict, verify_chain
from pratique.audit.record import GENESIS, leaf_hash, seal

LOG = "log_0123456789abcdef"

Stored = list[tuple[int, bytes, bytes]]


def chain(length: int = 6, *, log: str = LOG, text: str = "a") -> Stored:
    """Return a small log as it is stored."""
    rows: Stored = []
    prev = GENESIS
    for seq in range(1, length + 1):
        draft = {"type": "call.outcome", "session": "s", "n": seq, "text": text * seq}
        record = seal(draft, log=log, seq=seq, prev=prev, ts_us=1000 + seq // 2)
        rows.append((seq, record.leaf, record.body))
        prev = record.leaf
    return rows


def head_of(rows: Stored) -> Head:
    return Head(seq=rows[-1][0], leaf=rows[-1][1].hex()) if rows else Head(seq=0, leaf=GENESIS.hex())


def rechained(rows: Stored) -> Stored:
    """Return the rows as someone with the database would write them anew: every hash fits again."""
    fresh: Stored = []
    prev = GENESIS
    for seq, (_, _, body) in enumerate(rows, 1):
        draft = {k: v for k, v in orjson.loads(body).items() if k not in {"v", "log", "seq", "prev", "ts_us"}}
        record = seal(draft, log=LOG, seq=seq, prev=prev, ts_us=orjson.loads(body)["ts_us"])
        fresh.append((seq, record.leaf, record.body))
        prev = record.leaf
    return fresh


def broken(report: Report) -> bool:
    return report.verdict is Verdict.BROKEN and bool(report.problem) and "\n" not in report.problem


def test_a_whole_log_is_ok_with_a_head_and_unanchored_without() -> None:
    rows = chain()
    assert verify_chain(rows, LOG).verdict is Verdict.UNANCHORED
    report = verify_chain(rows, LOG, head_of(rows))
    assert (report.verdict, report.records, report.head) == (Verdict.OK, 6, head_of(rows))


@pytest.mark.parametrize("length", range(6))
def test_an_older_head_still_anchors_a_log_that_grew(length: int) -> None:
    rows = chain()
    assert verify_chain(rows, LOG, head_of(rows[:length])).verdict is Verdict.OK


def test_an_empty_log_is_unanchored_and_never_ok_by_itself() -> None:
    assert verify_chain([], LOG).verdict is Verdict.UNANCHORED
    assert broken(verify_chain([], LOG, head_of(chain())))


def test_every_flipped_byte_of_every_record_is_found() -> None:
    rows = chain(4)
    for place, (seq, leaf, body) in enumerate(rows):
        for offset in range(len(body)):
            for flip in (0x01, 0x20, 0x80):
                damaged = body[:offset] + bytes([body[offset] ^ flip]) + body[offset + 1 :]
                report = verify_chain([*rows[:place], (seq, leaf, damaged), *rows[place + 1 :]], LOG)
                assert broken(report), (seq, offset, flip)
                assert report.broken_at == seq


def test_every_flipped_byte_of_every_stored_hash_is_found() -> None:
    rows = chain(4)
    for place, (seq, leaf, body) in enumerate(rows):
        for offset in range(len(leaf)):
            damaged = leaf[:offset] + bytes([leaf[offset] ^ 1]) + leaf[offset + 1 :]
            assert broken(verify_chain([*rows[:place], (seq, damaged, body), *rows[place + 1 :]], LOG))


def test_every_flipped_byte_is_found_even_if_its_own_hash_is_made_to_fit() -> None:
    """All but the last record are held by the one after it; the last one only by a head."""
    rows = chain(4)
    anchor = head_of(rows)
    for place, (seq, _, body) in enumerate(rows):
        for offset in range(len(body)):
            damaged = body[:offset] + bytes([body[offset] ^ 1]) + body[offset + 1 :]
            fitted = [*rows[:place], (seq, leaf_hash(damaged), damaged), *rows[place + 1 :]]
            assert broken(verify_chain(fitted, LOG, anchor)), (seq, offset)
            if place < len(rows) - 1:
                assert broken(verify_chain(fitted, LOG)), (seq, offset)


@pytest.mark.parametrize("place", range(5))
def test_a_dropped_record_is_found_without_any_head(place: int) -> None:
    rows = chain()
    report = verify_chain(rows[:place] + rows[place + 1 :], LOG)
    assert broken(report)
    assert report.broken_at == place + 1


@pytest.mark.parametrize("place", range(5))
def test_two_swapped_records_are_found(place: int) -> None:
    rows = chain()
    rows[place], rows[place + 1] = rows[place + 1], rows[place]
    assert broken(verify_chain(rows, LOG))
    renumbered = [(number, leaf, body) for number, (_, leaf, body) in enumerate(rows, 1)]
    assert broken(verify_chain(renumbered, LOG))


@pytest.mark.parametrize("place", range(6))
def test_a_record_that_is_there_twice_is_found(place: int) -> None:
    rows = chain()
    rows.insert(place, rows[place])
    assert broken(verify_chain(rows, LOG))
    renumbered = [(number, leaf, body) for number, (_, leaf, body) in enumerate(rows, 1)]
    assert broken(verify_chain(renumbered, LOG))


@pytest.mark.parametrize("place", range(6))
def test_a_rewritten_and_rechained_log_is_found_by_the_holder_of_a_head_only(place: int) -> None:
    rows = chain()
    forged = [*rows]
    forged[place] = (place + 1, rows[place][1], rows[place][2].replace(b'"text":"a', b'"text":"b'))
    forged = rechained(forged)
    assert verify_chain(forged, LOG).verdict is Verdict.UNANCHORED
    report = verify_chain(forged, LOG, head_of(rows))
    assert broken(report)
    assert "rewritten" in report.problem


@pytest.mark.parametrize("place", range(6))
def test_a_dropped_and_rechained_record_is_found_by_the_holder_of_a_head_only(place: int) -> None:
    rows = chain()
    forged = rechained(rows[:place] + rows[place + 1 :])
    assert verify_chain(forged, LOG).verdict is Verdict.UNANCHORED
    assert broken(verify_chain(forged, LOG, head_of(rows)))


@pytest.mark.parametrize("kept", range(6))
def test_every_cut_tail_is_unanchored_without_a_head_and_broken_with_one(kept: int) -> None:
    rows = chain()
    assert verify_chain(rows[:kept], LOG).verdict is Verdict.UNANCHORED
    report = verify_chain(rows[:kept], LOG, head_of(rows))
    assert broken(report)
    assert "cut off" in report.problem


def test_every_record_cut_short_is_found() -> None:
    rows = chain(3)
    seq, leaf, body = rows[-1]
    for length in range(len(body)):
        assert broken(verify_chain([*rows[:-1], (seq, leaf, body[:length])], LOG))
        fitted = [*rows[:-1], (seq, leaf_hash(body[:length]), body[:length])]
        assert broken(verify_chain(fitted, LOG)), length


def test_a_record_of_another_log_is_found() -> None:
    assert broken(verify_chain(chain(log="log_other"), LOG))
    mixed = chain(3)[:2] + chain(3, log="log_other")[2:]
    assert broken(verify_chain(mixed, LOG))


def _with(change: Callable[[dict[str, Any]], Any]) -> Stored:
    """Return a log whose last record was written by somebody who can hash, but not as we write."""
    rows = chain(3)
    seq, _, body = rows[-1]
    forged = change(orjson.loads(body))
    text = forged if isinstance(forged, bytes) else orjson.dumps(forged, option=orjson.OPT_SORT_KEYS)
    return [*rows[:-1], (seq, leaf_hash(text), text)]


def _deep(depth: int) -> bytes:
    return b'{"deep":' + b"[" * depth + b"]" * depth + b"}"


@pytest.mark.parametrize(
    "change",
    [
        lambda r: {**r, "ts_us": 1},
        lambda r: {**r, "ts_us": None},
        lambda r: {k: v for k, v in r.items() if k != "ts_us"},
        lambda r: {**r, "v": 2},
        lambda r: {k: v for k, v in r.items() if k != "v"},
        lambda r: {**r, "seq": 2},
        lambda r: {**r, "prev": GENESIS.hex()},
        lambda r: {**r, "prev": r["prev"].upper() + " "},
        lambda r: {k: v for k, v in r.items() if k != "log"},
        lambda r: {**r, "weight": 1.5},
        lambda r: {**r, "ä": 1},
        lambda r: {**r, "n": 2**60},
        lambda r: [r],
        lambda _: b"null",
        lambda _: b"",
        lambda _: b"{}",
        lambda _: b"\xff\xfe",
        lambda _: _deep(990),
        lambda _: _deep(100_000),
    ],
)
def test_a_last_record_that_breaks_a_rule_of_the_format_is_found(
    change: Callable[[dict[str, Any]], Any],
) -> None:
    report = verify_chain(_with(change), LOG)
    assert broken(report)
    assert (report.broken_at, report.records) == (3, 2)


@pytest.mark.parametrize("wrong", [None, "text", 5], ids=repr)
def test_a_column_that_holds_no_bytes_is_found(wrong: Any) -> None:
    """SQLite keeps any type in any column: a flipped bit in a row's header turns bytes into text."""
    rows: Any = chain(3)
    seq, leaf, body = rows[1]
    assert broken(verify_chain([rows[0], (seq, leaf, wrong), rows[2]], LOG))
    assert broken(verify_chain([rows[0], (seq, wrong, body), rows[2]], LOG))


@given(st.integers(0, 5), st.integers(0, 5), st.binary(min_size=1, max_size=4))
def test_any_splice_of_bytes_is_found(place: int, offset: int, junk: bytes) -> None:
    rows = chain()
    seq, leaf, body = rows[place]
    spliced = body[:offset] + junk + body[offset:]
    assert broken(verify_chain([*rows[:place], (seq, leaf, spliced), *rows[place + 1 :]], LOG))


def test_a_head_can_be_written_down_and_read_back() -> None:
    head = head_of(chain())
    assert Head.parse(f" {head}\n") == head
    assert Head.parse(str(head).upper()) == head


@pytest.mark.parametrize(
    "text", ["", "6", "6:", ":ab", "6:abc", "-1:" + "a" * 64, "6:" + "g" * 64, "x:" + "a" * 64]
)
def test_what_is_no_head_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"head|hexadecimal"):
        Head.parse(text)
