"""Notes and checkpoints are C2SP's: what Go's tools sign we read, byte for byte, and nothing else."""

# ruff: noqa: E501  # published vectors stand here as they were published

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pratique.audit.checkpoint import Checkpoint, Keyring, SignedCheckpoint, rotation
from pratique.audit.note import COSIGNATURE, ED25519, Note, Signer, Verifier, parse_note
from pratique.errors import NoteError

# Keys, text and signatures: golang.org/x/mod, sumdb/note/note_test.go.
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETER_PRIVATE = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
ENOCH = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
BY_PETER = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
BY_ENOCH = "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n"
BOTH = (Verifier.parse(PETER), Verifier.parse(ENOCH))

# The example of c2sp.org/tlog-cosignature.
COSIGNED = """example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==
"""

KEY = Signer("log_0", ED25519, bytes(range(32)))
NEXT = Signer("log_0", ED25519, bytes(range(1, 33)))


def test_we_sign_what_go_signs() -> None:
    signer = Signer.parse(PETER_PRIVATE)
    assert str(signer.verifier) == PETER
    assert signer.private_text() == PETER_PRIVATE
    assert str(Note(TEXT, (signer.sign(TEXT),))) == TEXT + "\n" + BY_PETER
    assert "hfZx09" not in repr(signer)


def test_we_verify_what_go_signed() -> None:
    note = parse_note(TEXT + "\n" + BY_PETER + BY_ENOCH)
    assert set(note.signed_by(BOTH)) == set(BOTH)
    assert set(note.signed_by(BOTH[:1])) == {BOTH[0]}
    assert note.signed_by(()) == {}
    assert str(note) == TEXT + "\n" + BY_PETER + BY_ENOCH


def test_a_known_key_whose_signature_fails_spoils_the_note() -> None:
    wrong = BY_PETER.replace("ZJkuBS", "ZJkuBT")
    with pytest.raises(NoteError, match="does not verify"):
        parse_note(TEXT + "\n" + wrong + BY_ENOCH).signed_by(BOTH)
    assert parse_note(TEXT + "\n" + wrong + BY_ENOCH).signed_by(BOTH[1:])
    with pytest.raises(NoteError, match="does not verify"):
        parse_note(TEXT.replace("you", "we") + "\n" + BY_PETER).signed_by(BOTH)


@pytest.mark.parametrize(
    "bad",
    [
        TEXT,
        TEXT + "\n",
        TEXT + "\n" + BY_PETER[:-1],
        "\x01" + TEXT + "\n" + BY_PETER,
        b"\xff" + (TEXT + "\n" + BY_PETER).encode(),
        TEXT + "\n" + "— Bad Name x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXg=\n",
        TEXT + "\n" + BY_PETER + "Unexpected line.\n",
        TEXT + "\n" + BY_PETER * 101,
        TEXT + "\n" + "— PeterNeumann x08goA\n",
        TEXT + "\n" + "— PeterNeumann x08gow==\n",
        "x" * 70_000 + "\n\n" + BY_PETER,
    ],
)
def test_what_is_no_note_is_refused(bad: str | bytes) -> None:
    with pytest.raises(NoteError):
        parse_note(bad)


def test_no_mangled_key_is_taken() -> None:
    pieces = {PETER[i:j] for i in range(len(PETER)) for j in range(i + 1, len(PETER) + 1)} - {PETER}
    changed = {PETER[:i] + chr(ord(PETER[i]) + 1) + PETER[i + 1 :] for i in range(len(PETER))}
    for bad in [*pieces, *changed, PETER.replace("c74f20a3", "cc469956") + "BADKEY=="]:
        with pytest.raises(NoteError):
            Verifier.parse(bad)
    for at in range(len(PETER_PRIVATE)):
        bad = PETER_PRIVATE[:at] + chr(ord(PETER_PRIVATE[at]) + 1) + PETER_PRIVATE[at + 1 :]
        with pytest.raises(NoteError):
            Signer.parse(bad)


def test_the_specifications_cosigned_example_is_read() -> None:
    signed = SignedCheckpoint.parse(COSIGNED)
    assert signed.checkpoint.origin == "example.com/behind-the-sofa"
    assert signed.checkpoint.size == 20_852_163
    assert signed.note.text == signed.checkpoint.text
    assert [line.name for line in signed.note.lines] == [
        "example.com/behind-the-sofa",
        "witness.example.com/w1",
    ]
    assert int.from_bytes(signed.note.lines[1].signature[:8], "big") == 1_679_315_147
    assert str(signed.note) == COSIGNED


def test_a_cosignature_signs_the_time_too() -> None:
    witness = Signer("witness.example/w1", COSIGNATURE, bytes(32))
    text = Checkpoint("log_0", 5, bytes(32)).text
    line = witness.sign(text, 1_790_000_000)
    assert Note(text, (line,)).signed_by((witness.verifier,)) == {witness.verifier: 1_790_000_000}
    later = line._replace(signature=(1_790_000_001).to_bytes(8, "big") + line.signature[8:])
    with pytest.raises(NoteError):
        Note(text, (later,)).signed_by((witness.verifier,))
    plain = Signer("witness.example/w1", ED25519, bytes(32))
    assert plain.verifier.key_id != witness.verifier.key_id, "one key, two purposes, two ids"


@given(st.integers(0, 2**53), st.binary(min_size=32, max_size=32))
def test_a_checkpoint_can_be_written_and_read(size: int, root: bytes) -> None:
    checkpoint = Checkpoint("log_0", size, root)
    assert Checkpoint.parse(checkpoint.text) == checkpoint
    signed = SignedCheckpoint.sign(checkpoint, KEY)
    assert SignedCheckpoint.parse(str(signed.note)) == signed
    assert Keyring(KEY.verifier).verify(signed)
    assert not Keyring(None).verify(signed)
    with pytest.raises(NoteError):
        Keyring(NEXT.verifier).verify(signed)


ROOT = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "log\n",
        "log\n5\n",
        f"log\n05\n{ROOT}\n",
        f"log\n-5\n{ROOT}\n",
        f"log\n\u0665\n{ROOT}\n",
        f"log\n5\n{ROOT[:-2]}\n",
        f"log\n5\n{ROOT[:-2]}J=\n",
        f"log\n5\n{ROOT}",
        f"log\n5\n{ROOT}\n\nmore\n",
        f"\n5\n{ROOT}\n",
        f"log\n{10**30}\n{ROOT}\n",
    ],
)
def test_what_is_no_checkpoint_is_refused(bad: str) -> None:
    with pytest.raises(NoteError):
        Checkpoint.parse(bad)


def rotated(**changes: object) -> dict[str, object]:
    return {**rotation("log_0", KEY, NEXT, "ana@acme.example", "yearly"), "seq": 7, "log": "log_0", **changes}


def test_a_new_key_is_in_force_from_its_record_on() -> None:
    ring = Keyring(KEY.verifier)
    ring.rotate(rotated())
    assert (ring.at(6), ring.at(7), ring.current) == (KEY.verifier, NEXT.verifier, NEXT.verifier)
    before, after = (Checkpoint("log_0", size, bytes(32)) for size in (6, 7))
    assert ring.verify(SignedCheckpoint.sign(before, KEY))
    assert ring.verify(SignedCheckpoint.sign(after, NEXT))
    for wrong in (SignedCheckpoint.sign(before, NEXT), SignedCheckpoint.sign(after, KEY)):
        with pytest.raises(NoteError, match="in force"):
            ring.verify(wrong)


def test_a_rotation_that_the_old_key_did_not_sign_is_refused() -> None:
    stranger = Signer("log_0", ED25519, bytes(32))
    good = rotated()
    other = rotation("log_0", stranger, NEXT, "", "")
    for bad in (
        rotated(statement=other["statement"]),
        rotated(old=other["old"]),
        rotated(new=str(stranger.verifier)),
        rotated(log="log_1"),
        rotated(statement=None),
        rotated(statement=str(good["statement"]).rsplit("—", 1)[0]),
        rotated(**{**rotation("log_0", KEY, KEY._replace(kind=COSIGNATURE), "", ""), "seq": 7}),
    ):
        with pytest.raises(NoteError):
            Keyring(KEY.verifier).rotate(bad)
    Keyring(None).rotate(good)
