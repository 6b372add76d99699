"""Values can be erased while the chain stands, and never replaced, moved or read without the key file."""

from pathlib import Path
from typing import Any

import pytest

from pratique.audit.chain import Break, Report, Verdict
from pratique.errors import LedgerCorruptError, LedgerUnavailableError
from pratique.identity.people import People
from pratique.ledger import erasure, queries
from pratique.ledger.door import Ledger
from pratique.ledger.erasing import Erasing
from pratique.ledger.sequencer import Entry, Receipt
from pratique.ledger.vault import KEY_BYTES, Opened, Sealing, Vault
from pratique.ledger.verification import Asked, verify_file
from tests.house import House, opened, records, sql, verify

ABOUT = "call.outcome:s1:c1"
VALUES = {"args": b'{"to":"mo"}', "result": "Grüße".encode()}


@pytest.fixture
def vault() -> Vault:
    made = Vault(bytes(range(KEY_BYTES)))
    made.learn("p1", made.new_key("p1"))
    return made


def test_what_was_sealed_opens_and_is_genuine(vault: Vault) -> None:
    sealing = vault.seal("p1", ABOUT, VALUES)
    opened = vault.open("p1", ABOUT, sealing.sealed, sealing.commitments)
    assert opened == {field: Opened(value, genuine=True) for field, value in VALUES.items()}
    assert set(sealing.commitments) == {"args_c", "result_c"}
    assert b"Gr" not in sealing.sealed


def test_the_same_value_is_never_committed_to_or_sealed_alike(vault: Vault) -> None:
    sealings = [vault.seal("p1", ABOUT, {"args": b"x"}) for _ in range(100)]
    assert len({s.commitments["args_c"] for s in sealings}) == 100
    assert len({s.sealed for s in sealings}) == 100
    assert len({s.sealed[:12] for s in sealings}) == 100, "a nonce is used once"
    two = vault.seal("p1", ABOUT, {"a": b"x", "b": b"x"})
    assert two.commitments["a_c"] != two.commitments["b_c"]


def test_every_flipped_byte_of_a_sealed_value_is_found(vault: Vault) -> None:
    sealing = vault.seal("p1", ABOUT, VALUES)
    for place in range(len(sealing.sealed)):
        damaged = bytearray(sealing.sealed)
        damaged[place] ^= 1
        with pytest.raises(LedgerCorruptError, match="do not open"):
            vault.open("p1", ABOUT, bytes(damaged), sealing.commitments)
    for length in range(len(sealing.sealed)):
        with pytest.raises(LedgerCorruptError):
            vault.open("p1", ABOUT, sealing.sealed[:length], sealing.commitments)


@pytest.mark.parametrize("about", ["call.outcome:s1:c2", "call.intent:s1:c1", "call.outcome:s2:c1", ""])
def test_a_row_cannot_stand_in_for_another(vault: Vault, about: str) -> None:
    sealing = vault.seal("p1", ABOUT, VALUES)
    with pytest.raises(LedgerCorruptError):
        vault.open("p1", about, sealing.sealed, sealing.commitments)


def test_a_value_sealed_anew_by_a_holder_of_the_key_does_not_fit_the_record(vault: Vault) -> None:
    stated = vault.seal("p1", ABOUT, VALUES).commitments
    forged = vault.seal("p1", ABOUT, {**VALUES, "args": b'{"to":"eve"}'})
    opened = vault.open("p1", ABOUT, forged.sealed, stated)
    assert not opened["args"].genuine
    assert not opened["result"].genuine, "another salt is another value"
    assert not vault.open("p1", ABOUT, forged.sealed, {})["args"].genuine


def test_another_master_key_opens_nothing(vault: Vault) -> None:
    wrapped = vault.new_key("p1")
    other = Vault(bytes(KEY_BYTES))
    with pytest.raises(LedgerCorruptError, match=r"is this the right vault\.key"):
        other.learn("p1", wrapped)
    assert not other.knows("p1")
    assert other.subject_id("kim") != vault.subject_id("kim")


def test_a_wrapped_key_is_for_one_subject(vault: Vault) -> None:
    with pytest.raises(LedgerCorruptError):
        vault.learn("p2", vault.new_key("p1"))
    with pytest.raises(LedgerCorruptError):
        vault.learn("p2", b"")


def test_a_subject_is_a_pseudonym(vault: Vault) -> None:
    assert vault.subject_id("kim@acme.example") == vault.subject_id("kim@acme.example")
    assert "kim" not in vault.subject_id("kim@acme.example")
    assert vault.subject_id("kim") != vault.subject_id("li")


def test_a_forgotten_key_is_unknown(vault: Vault) -> None:
    sealing = vault.seal("p1", ABOUT, VALUES)
    vault.forget("p1")
    vault.forget("p1")
    assert not vault.knows("p1")
    with pytest.raises(LedgerCorruptError):
        vault.open("p1", ABOUT, sealing.sealed, sealing.commitments)


def test_the_key_file_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "new" / "vault.key"
    first = Vault.at(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(path.read_bytes()) == KEY_BYTES
    assert Vault.at(path).subject_id("kim") == first.subject_id("kim")
    assert list(path.parent.iterdir()) == [path], "nothing is left of the draft"


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_key_file_that_holds_no_key_is_refused_and_not_replaced(tmp_path: Path, length: int) -> None:
    path = tmp_path / "vault.key"
    path.write_bytes(b"x" * length)
    with pytest.raises(LedgerCorruptError, match=f"holds {length} bytes, a vault key has 32"):
        Vault.at(path)
    assert path.read_bytes() == b"x" * length


def test_a_key_file_that_cannot_be_read_is_said_to_be(tmp_path: Path) -> None:
    (tmp_path / "vault.key").mkdir()
    with pytest.raises(LedgerUnavailableError, match=r"vault\.key"):
        Vault.at(tmp_path / "vault.key")


async def kept(ledger: Ledger, user: str, call: str, text: bytes) -> dict[str, Any]:
    """Commit a record with one value; return the record."""
    subject = ledger.vault.subject_id(user)
    await ledger.know(subject)
    draft = {"type": "note", "session": "s1", "call_id": call}
    sealing: Sealing = ledger.seal(subject, queries.about(draft), {"args": text})
    done = await ledger.commit(Entry(drafts=({**draft, **sealing.commitments},), values=(sealing,)))
    assert isinstance(done, Receipt)
    return dict(records(ledger)[-1])


def values(ledger: Ledger, record: Any) -> dict[str, Opened]:
    def read(connection: Any) -> dict[str, Opened]:
        subject = queries.subject_of(connection, record["seq"])
        if subject is not None:
            ledger.learn(connection, subject)
        return queries.values(connection, ledger.vault, record)

    return ledger.read(read)


async def test_an_erased_value_is_gone_and_the_chain_still_verifies(empty_house: House) -> None:
    ledger = empty_house.ledger()
    first, second = await kept(ledger, "kim", "c1", b"one"), await kept(ledger, "kim", "c2", b"two")
    sql(ledger, "DELETE FROM vault WHERE seq = ?", first["seq"])
    assert values(ledger, first) == {}
    assert values(ledger, second)["args"] == Opened(b"two", genuine=True)
    assert verify(ledger).verdict is Verdict.UNANCHORED


async def test_an_erased_person_is_unreadable_in_every_process_that_starts_later(empty_house: House) -> None:
    ledger = empty_house.ledger()
    of_kim, of_li = await kept(ledger, "kim", "c1", b"one"), await kept(ledger, "li", "c2", b"two")
    sql(ledger, "DELETE FROM vault_keys WHERE subject = ?", ledger.vault.subject_id("kim"))
    later = empty_house.ledger()
    assert values(later, of_kim) == {}
    assert values(later, of_li)["args"].value == b"two"
    assert verify(later).verdict is Verdict.UNANCHORED


async def test_a_value_moved_from_another_record_does_not_open(empty_house: House) -> None:
    ledger = empty_house.ledger()
    first, second = await kept(ledger, "kim", "c1", b"one"), await kept(ledger, "kim", "c2", b"two")
    sql(
        ledger,
        "UPDATE vault SET sealed = (SELECT sealed FROM vault WHERE seq = ?) WHERE seq = ?",
        second["seq"],
        first["seq"],
    )
    with pytest.raises(LedgerCorruptError):
        values(ledger, first)


async def test_a_value_moved_from_a_record_of_the_same_call_does_not_fit(empty_house: House) -> None:
    ledger = empty_house.ledger()
    first, second = await kept(ledger, "kim", "c1", b"one"), await kept(ledger, "kim", "c1", b"two")
    sql(
        ledger,
        "UPDATE vault SET sealed = (SELECT sealed FROM vault WHERE seq = ?) WHERE seq = ?",
        second["seq"],
        first["seq"],
    )
    assert values(ledger, first)["args"] == Opened(b"two", genuine=False)


async def test_a_database_without_its_key_file_reads_as_nothing(empty_house: House) -> None:
    ledger = empty_house.ledger()
    record = await kept(ledger, "kim", "c1", b"a very secret value")
    ledger.close()
    for file in empty_house.folder.glob("ledger.db*"):
        assert b"a very secret value" not in file.read_bytes()
        assert b"kim" not in file.read_bytes()
    (empty_house.folder / "vault.key").write_bytes(bytes(KEY_BYTES))
    later = empty_house.ledger()
    with pytest.raises(LedgerCorruptError, match="right vault"):
        values(later, record)
    assert verify(later).verdict is Verdict.UNANCHORED


async def noted(house: House) -> tuple[Ledger, int]:
    """Return a ledger with a call on record, and the number of a record whose values are in the vault."""
    ledger = house.runtime().ledger
    async with await opened(house.runtime()) as session:
        await session.call("desk.note", {"text": "what was said"})
    return ledger, next(r["seq"] for r in records(ledger, "call.intent") if "args_c" in r)


def verified(ledger: Ledger) -> Report:
    return verify_file(ledger.path, asked=Asked(values=True))


async def test_verification_finds_a_vault_row_that_was_changed(house: House) -> None:
    ledger, seq = await noted(house)
    assert verified(ledger).verdict is Verdict.UNANCHORED
    whole = sql(ledger, "SELECT sealed FROM vault WHERE seq = ?", seq)[0][0]
    sql(ledger, "UPDATE vault SET sealed = ? WHERE seq = ?", whole[:-1] + bytes([whole[-1] ^ 1]), seq)
    found = verified(ledger)
    assert (found.verdict, found.broken_at) == (Verdict.BROKEN, seq)
    assert found.problem == f"the vault value of record {seq} does not open"
    assert verify_file(ledger.path).verdict is Verdict.UNANCHORED, "without the values, it is not looked at"


async def test_verification_finds_a_value_that_whoever_has_the_key_file_put_there(house: House) -> None:
    ledger, seq = await noted(house)
    record = next(r for r in records(ledger) if r["seq"] == seq)
    owner = ledger.read(lambda connection: queries.subject_of(connection, seq))
    assert owner is not None
    assert ledger.read(lambda connection: ledger.learn(connection, owner))
    forged = ledger.vault.seal(owner, queries.about(record), {"args": b'{"text":"something else"}'})
    sql(ledger, "UPDATE vault SET sealed = ? WHERE seq = ?", forged.sealed, seq)
    assert verified(ledger).problem == f"the vault value of record {seq} (args) doesn't match its commitment"


async def test_a_value_of_another_record_is_found(house: House) -> None:
    ledger, _ = await noted(house)
    one, two = [r["seq"] for r in records(ledger) if "args_c" in r][:2]
    sql(ledger, "UPDATE vault SET sealed = (SELECT sealed FROM vault WHERE seq = ?) WHERE seq = ?", one, two)
    assert verified(ledger).broken_at == two


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("DELETE FROM vault", "are not in the vault"),
        ("DELETE FROM vault WHERE seq = :seq", "are not in the vault"),
        ("UPDATE vault SET seq = seq + 1000000", "are not in the vault"),
        ("DELETE FROM vault_keys", "have no key"),
        ("UPDATE vault SET subject = 'x' WHERE seq = :seq", "have no key"),
    ],
)
async def test_values_that_are_gone_without_an_erasure_are_missed(
    statement: str, what: str, house: House
) -> None:
    ledger, seq = await noted(house)
    sql(ledger, statement.replace(":seq", str(seq)))
    found = verified(ledger)
    assert (found.verdict, found.kind) == (Verdict.BROKEN, Break.VANISHED)
    assert what in found.problem
    assert "no record says that they were erased" in found.problem


@pytest.mark.parametrize("what", ["a call", "a session", "a person"])
async def test_values_that_were_erased_are_not_missed_and_the_others_are(what: str, house: House) -> None:
    runtime = house.runtime()
    sessions = []
    for user in ("kim@acme.example", "li@acme.example"):
        async with await opened(runtime, user=user, request="two notes") as session:
            for call in ("c1", "c2"):
                await session.call("desk.note", {"text": call}, call_id=call)
            sessions.append(session.id)
    ledger = runtime.ledger
    kim = ledger.vault.subject_id("kim@acme.example")
    erased = {
        "a call": Erasing(session=sessions[0], call="c1"),
        "a session": Erasing(session=sessions[0]),
        "a person": Erasing(subject=kim),
    }[what]
    erasure.erase(ledger, erased, "request 2026-114", "ana@acme.example")
    assert verified(ledger).verdict is Verdict.UNANCHORED
    of_li = next(r["seq"] for r in records(ledger, "call.intent") if r["session"] == sessions[1])
    sql(ledger, "DELETE FROM vault WHERE seq = ?", of_li)
    assert verified(ledger).broken_at == of_li


@pytest.mark.parametrize("what", ["session", "person"])
async def test_what_was_written_after_an_erasure_is_missed(what: str, house: House) -> None:
    """An erasure is no excuse for what the same person did later."""
    runtime = house.runtime()
    async with await opened(runtime) as session:
        await session.call("desk.note", {"text": "what was said"})
    ledger = runtime.ledger
    subject = ledger.vault.subject_id(session.subject.user)
    erased = Erasing(session=session.id) if what == "session" else Erasing(subject=subject)
    erasure.erase(ledger, erased, "request 2026-114", "ana@acme.example")
    async with await opened(house.runtime()) as later:
        await later.call("desk.note", {"text": "what was said later"})
    assert verified(ledger).verdict is Verdict.UNANCHORED
    seq = [r["seq"] for r in records(ledger, "call.intent") if "args_c" in r][-1]
    sql(ledger, "DELETE FROM vault WHERE seq = ?", seq)
    found = verified(ledger)
    assert (found.kind, found.broken_at) == (Break.VANISHED, seq)


@pytest.mark.parametrize("erased", [True, False])
def test_a_password_is_missed_unless_its_owner_was_erased(erased: bool, house: House) -> None:
    ledger = house.runtime().ledger
    accounts = People(ledger)
    accounts.add("li@acme.example", by="ana@acme.example")
    accounts.set_password("li@acme.example", "correct horse battery staple", "ana@acme.example")
    if erased:
        li = Erasing(subject=ledger.vault.subject_id("li@acme.example"))
        erasure.erase(ledger, li, "request 2026-115", "ana@acme.example")
    else:
        sql(ledger, "DELETE FROM vault")
    assert verified(ledger).verdict is (Verdict.UNANCHORED if erased else Verdict.BROKEN)
