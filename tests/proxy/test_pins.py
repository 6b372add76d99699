"""The life of a pin, on a real ledger: seen, approved, changed, refused, gone; by whom, and one at a time."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from pratique.audit.chain import Verdict
from pratique.errors import LedgerCorruptError, PinError
from pratique.ledger.door import Ledger
from pratique.model import Tier
from pratique.proxy.listing import MOST_TOOLS
from pratique.proxy.pins import MOST_KNOWN, Pin, Pins
from tests.house import House, rebuilt_state, records, sql, state_of, verify
from tests.proxy.listed import CONFIG, entry, listing

ANA, LI, US = "ana@acme.example", "li@acme.example", "local:test"


@pytest.fixture
def ledger(empty_house: House) -> Ledger:
    return empty_house.ledger()


@pytest.fixture
def pins(ledger: Ledger) -> Iterator[Pins]:
    made = Pins(ledger)
    made.add("files", CONFIG, "files-server --root docs", ANA)
    yield made
    assert verify(ledger).verdict is Verdict.UNANCHORED
    assert not verify(ledger).illegal
    assert rebuilt_state(ledger) == ledger.read(state_of)


def saw(pins: Pins, *entries: dict[str, Any], config: str = CONFIG) -> list[Pin]:
    return pins.saw("files", listing(*entries, config=config), US)


def approved(pins: Pins, tool: str = "files.read", tier: Tier = Tier.READ, by: str = ANA) -> Pin:
    return pins.approve(tool, pins.find(tool).seen, tier, by)


def test_a_tool_that_is_new_waits_for_a_person(pins: Pins, ledger: Ledger) -> None:
    (found,) = saw(pins, entry())
    assert (found.tool, found.state, found.waits, found.is_approved) == ("files.read", "new", True, False)
    record = records(ledger, "mcp.seen")[0]
    assert (record["by"], record["before"], record["digest"]) == (US, "", found.seen)
    assert pins.definition(found.seen).description == "The tool read."


def test_looking_again_is_no_news(pins: Pins, ledger: Ledger) -> None:
    saw(pins, entry(), entry("write"))
    before = len(records(ledger))
    assert saw(pins, entry("write"), entry()) == []
    assert len(records(ledger)) == before


def test_an_approved_tool_can_be_called_until_it_changes(pins: Pins) -> None:
    saw(pins, entry())
    pin = approved(pins)
    assert pin.is_approved
    assert (pin.tier, pin.said_by) == ("read", ANA)
    (changed,) = saw(pins, entry(description="Now it mails as well."))
    assert (changed.state, changed.is_approved, changed.pin) == ("changed", False, pin.pin)
    assert changed.seen != changed.pin


def test_a_definition_that_comes_back_is_approved_again_by_a_person(pins: Pins) -> None:
    saw(pins, entry())
    approved(pins)
    saw(pins, entry(description="other"))
    (back,) = saw(pins, entry())
    assert back.seen == back.pin
    assert not back.is_approved
    assert approved(pins).is_approved


def test_a_tool_that_goes_and_comes_back_is_in_quarantine(pins: Pins) -> None:
    saw(pins, entry(), entry("write"))
    approved(pins)
    (gone,) = saw(pins, entry("write"))
    assert (gone.state, gone.seen, gone.is_approved) == ("gone", "", False)
    with pytest.raises(PinError, match="does not list it"):
        pins.approve("files.read", gone.pin, Tier.READ, ANA)
    (back,) = saw(pins, entry(), entry("write"))
    assert (back.state, back.is_approved) == ("changed", False)


def test_a_tool_that_cannot_be_used_cannot_be_approved(pins: Pins) -> None:
    saw(pins, entry())
    approved(pins)
    (bad,) = saw(pins, entry(inputSchema=7))
    assert (bad.state, bad.is_approved) == ("unusable", False)
    assert "inputSchema" in bad.problem
    with pytest.raises(PinError, match="inputSchema"):
        pins.approve("files.read", bad.pin, Tier.READ, ANA)


def test_only_the_definition_that_was_looked_at_is_approved(pins: Pins) -> None:
    (old,) = saw(pins, entry())
    saw(pins, entry(description="other"))
    with pytest.raises(PinError, match="another definition by now"):
        pins.approve("files.read", old.seen, Tier.READ, ANA)
    with pytest.raises(PinError, match="another definition by now"):
        pins.refuse("files.read", old.seen, ANA)
    with pytest.raises(PinError, match="no tool is called"):
        pins.approve("files.other", old.seen, Tier.READ, ANA)


def test_a_refusal_withdraws_what_was_approved_and_says_why(pins: Pins) -> None:
    saw(pins, entry())
    pin = approved(pins)
    refused = pins.refuse("files.read", pin.seen, LI, "it reads too much")
    assert (refused.state, refused.said_by, refused.reason) == ("refused", LI, "it reads too much")
    assert not refused.is_approved
    assert saw(pins, entry()) == [], "the same definition stays refused"
    assert approved(pins).is_approved


def test_the_tier_is_raised_by_the_server_and_never_lowered(pins: Pins) -> None:
    saw(pins, entry(annotations={"destructiveHint": True}), entry("ls", annotations={"readOnlyHint": True}))
    assert approved(pins, tier=Tier.READ).tier == "irreversible"
    assert approved(pins, "files.ls", Tier.IRREVERSIBLE).tier == "irreversible"


def test_an_approval_at_another_tier_replaces_the_first(pins: Pins, ledger: Ledger) -> None:
    saw(pins, entry())
    approved(pins, tier=Tier.IRREVERSIBLE)
    assert approved(pins, tier=Tier.READ, by=LI).tier == "read"
    approved(pins, tier=Tier.READ)
    assert len(records(ledger, "mcp.approve")) == 2, "approving what is approved is no news"


def test_another_configuration_makes_everything_new(pins: Pins) -> None:
    saw(pins, entry())
    old = approved(pins)
    other = "d" * 64
    assert not pins.add("files", CONFIG, "again", ANA), "the same configuration is no news"
    assert pins.add("files", other, "files-server --root /", ANA)
    assert pins.tools() == []
    with pytest.raises(PinError, match="configured otherwise"):
        saw(pins, entry())
    (new,) = saw(pins, entry(), config=other)
    assert (new.state, new.pin) == ("new", "")
    assert new.seen != old.seen


def test_a_server_that_is_removed_takes_its_approvals_along(pins: Pins) -> None:
    saw(pins, entry())
    approved(pins)
    pins.remove("files", LI, "not needed")
    assert pins.servers() == []
    assert pins.tools() == []
    with pytest.raises(PinError, match="no server"):
        pins.remove("files", LI)
    with pytest.raises(PinError, match="is not there"):
        saw(pins, entry())
    pins.add("files", CONFIG, "back", ANA)
    (back,) = saw(pins, entry())
    assert back.state == "new"


def test_of_many_who_approve_at_once_each_gets_the_same_answer_or_is_told(
    empty_house: House, pins: Pins
) -> None:
    (seen,) = saw(pins, entry())
    ledgers = [empty_house.ledger() for _ in range(4)]

    def approve(number: int) -> str:
        tier = (Tier.READ, Tier.WRITE)[number % 2]
        try:
            return (
                Pins(ledgers[number]).approve("files.read", seen.seen, tier, f"p{number}@acme.example").tier
            )
        except PinError as problem:
            return str(problem)

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(approve, range(4)))
    assert pins.find("files.read").is_approved
    assert all(answer in {"read", "write"} or "was faster" in answer for answer in answers)


@pytest.mark.usefixtures("pins")
def test_of_many_who_look_at_once_one_records_it(empty_house: House, ledger: Ledger) -> None:
    others = [Pins(empty_house.ledger()) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda one: saw(one, entry(), entry("write")), others))
    assert len(records(ledger, "mcp.seen")) == 2


def test_what_was_approved_is_still_approved_after_a_restart(empty_house: House, pins: Pins) -> None:
    saw(pins, entry())
    approved(pins)
    assert Pins(empty_house.ledger()).find("files.read").is_approved


def test_a_server_that_makes_up_names_is_not_followed_for_ever(pins: Pins) -> None:
    for turn in range(MOST_KNOWN // 200):
        saw(pins, *(entry(f"t{turn}-{number}") for number in range(200)))
    saw(pins, *(entry(f"z{number}") for number in range(200)))
    assert saw(pins, *(entry(f"y{number}") for number in range(200)), *_listed(pins)) == []
    found = pins.tools()
    assert len(found) == MOST_KNOWN + 1, "one more says that there are more"
    (last,) = [pin for pin in found if pin.problem]
    assert (last.state, "1024 different tools" in last.problem) == ("unusable", True)
    assert MOST_TOOLS >= 200


def _listed(pins: Pins) -> list[dict[str, Any]]:
    """Return what the server listed last, as it was."""
    return [entry(pin.name) for pin in pins.tools() if pin.state != "gone"]


def test_a_change_of_an_approved_tool_is_recorded_first_however_many_names_there_are(
    pins: Pins, ledger: Ledger
) -> None:
    saw(pins, entry())
    approved(pins)
    for turn in range(6):
        saw(pins, entry(), *(entry(f"t{turn}-{number}") for number in range(200)))
    before = len(records(ledger))
    saw(pins, *(entry(f"z{number}") for number in range(50)), entry(description="EVIL"))
    assert records(ledger)[before]["tool"] == "files.read"
    assert pins.find("files.read").state == "changed"
    saw(pins, entry())
    assert not pins.find("files.read").is_approved


def test_a_definition_that_was_tampered_with_is_not_shown(pins: Pins, ledger: Ledger) -> None:
    (seen,) = saw(pins, entry())
    sql(ledger, "UPDATE blobs SET body = ? WHERE digest = ?", b'{"name": "other"}', seen.seen)
    with pytest.raises(LedgerCorruptError, match="not the one that was seen"):
        pins.definition(seen.seen)


def test_a_forged_approval_is_found(empty_house: House) -> None:
    ledger = empty_house.ledger()
    pins = Pins(ledger)
    pins.add("files", CONFIG, "x", ANA)
    saw(pins, entry())
    sql(ledger, "UPDATE mcp_tools SET state = 'approved', pin = seen, tier = 'read'")
    assert rebuilt_state(ledger) != ledger.read(state_of)
