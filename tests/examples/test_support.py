"""Promise: the example does the job, and a hijacked agent does no more than policy and people let it."""

import importlib
import json
import shutil
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest

import pratique
from pratique import Outcome, Runtime, Session, Status
from pratique.app import local_login

# The examples are found at run time, in a checkout or in a wheel.
agent: Any = importlib.import_module("pratique.examples.support.agent")
EXAMPLE = Path(agent.__file__).parent

pytestmark = pytest.mark.usefixtures("a_jail")


class Answered:
    """A session in which a person answers every question at once, always the same."""

    def __init__(self, session: Session, runtime: Runtime, *, approve: bool) -> None:
        self._session, self._runtime, self._approve = session, runtime, approve
        self.outcomes: list[tuple[str, Any, Outcome]] = []

    async def call(self, tool: str, args: Any) -> Outcome:
        outcome = await self._session.call(tool, args, wait=0)
        if outcome.status is Status.PENDING:
            confirm = self._runtime.queue.asked(outcome.ticket).card.confirm if self._approve else ""
            await self._runtime.answer(
                outcome.ticket, local_login(), approve=self._approve, reason="a test", confirm=confirm
            )
            outcome = await self._session.redeem(outcome.ticket, wait=0)
        self.outcomes.append((tool, args, outcome))
        return outcome

    def became_of(self, tool: str) -> list[str]:
        """Return the status of every call of a tool, in order."""
        return [outcome.status.value for name, _, outcome in self.outcomes if name == tool]


@pytest.fixture
def house(tmp_path: Path) -> Path:
    return Path(shutil.copytree(EXAMPLE, tmp_path / "support"))


async def play(house: Path, *, hijacked: bool, approve: bool) -> tuple[Answered, str]:
    async with (
        pratique.open_runtime(house / "pratique.toml") as runtime,
        runtime.session(agent="support", user="kim@acme.example", request=agent.REQUEST) as session,
    ):
        answered = Answered(session, runtime, approve=approve)
        run: Any = agent.run_hijacked if hijacked else agent.run
        return answered, await run(answered)


def files(house: Path, folder: str) -> list[Path]:
    return [path for path in (house / "data" / folder).iterdir() if path.name != ".gitkeep"]


def outbox(house: Path) -> dict[str, str]:
    """Return what is in the outbox: recipient → text."""
    letters = [
        message_from_bytes(path.read_bytes(), policy=policy.default) for path in files(house, "outbox")
    ]
    return {str(letter["To"]): letter.get_content() for letter in letters}


def payments(house: Path) -> list[dict[str, str]]:
    return [json.loads(path.read_bytes()) for path in files(house, "payments")]


async def test_the_clean_run_does_the_job(house: Path) -> None:
    answered, output = await play(house, hijacked=False, approve=True)
    assert {outcome.status for _, _, outcome in answered.outcomes} == {Status.DONE}
    [payment] = payments(house)
    assert (payment["order"], payment["amount"]) == ("8804", "18.90")
    assert payment["account"] == "PT50 0002 0123 1234 5678 9015 4"
    sent = outbox(house)
    assert set(sent) == {"maria.oliveira@cafe-lisboa.example", "jonas.weber@weberhaus.example"}
    assert "held at Köln depot" in sent["jonas.weber@weberhaus.example"]
    assert len(files(house, "drafts")) == 1
    assert len(files(house, "tickets/T-2041/comments")) == 3
    assert output.startswith("Done: refunded 18.90 EUR for order 8804;")


async def test_what_is_rejected_does_not_happen_and_the_agent_goes_on(house: Path) -> None:
    answered, output = await play(house, hijacked=False, approve=False)
    assert answered.became_of("mail.read") == ["done"] * 16
    assert answered.became_of("tickets.update") == ["denied"]
    assert (payments(house), outbox(house)) == ([], {})
    assert "Not done, 5 calls were refused: billing.refund: " in output


async def test_a_hijacked_run_gets_only_what_a_person_lets_through(house: Path) -> None:
    answered, output = await play(house, hijacked=True, approve=False)
    assert answered.became_of("billing.refund") == ["denied", "denied"]
    assert answered.became_of("crm.customers") == ["denied"]
    assert answered.became_of("mail.send") == ["denied"]
    assert (payments(house), outbox(house)) == ([], {})
    assert output == "All mails are answered."


async def test_a_person_who_says_yes_to_everything_still_cannot_lift_the_limits(house: Path) -> None:
    answered, _ = await play(house, hijacked=True, approve=True)
    assert answered.became_of("billing.refund") == ["denied", "done"]
    assert answered.became_of("crm.customers") == ["denied"]
    [payment] = payments(house)
    assert payment["amount"] == "49.00"
    [text] = outbox(house).values()
    assert len(text.splitlines()) == 4


async def test_every_message_is_read_and_damage_is_named(house: Path) -> None:
    answered, _ = await play(house, hijacked=False, approve=False)
    read = {o.value["subject"]: o.value for tool, _, o in answered.outcomes if tool == "mail.read"}
    assert len(read) == 16
    damaged = {subject: message["problems"] for subject, message in read.items() if message["problems"]}
    assert damaged == {
        "Invoice for order 8807 please": [
            "the HTML hides 27 characters of text from its reader: they were left out"
        ],
        "Ersatzteil fuer die Muehle": [
            "the bytes are not in the declared charset utf-8: read as windows-1252"
        ],
        "warranty": ["date: missing"],
        "Kettle base, photo": [
            "a multipart has no end: the message may be cut off",
            "base64 of impossible length: a part is cut off and was not decoded",
        ],
    }
    assert "Größe 58" in read["Ersatzteil fuer die Muehle"]["body"]
    assert read["注文8818の件"]["from_name"] == "佐藤 健"
    names = [one["name"] for one in read["Colis abîmé \u2013 commande 8815"]["attachments"]]
    assert names == ["IMG_2207.png", "bon de livraison 8815 №1.pdf"]


async def test_money_is_paid_back_once_and_never_more_than_was_paid(house: Path) -> None:
    args = {
        "order": "8807",
        "amount": 45,
        "currency": "EUR",
        "account": "GB29 NWBK 6016 1331 9268 19",
        "reason": "damaged",
    }
    async with (
        pratique.open_runtime(house / "pratique.toml") as runtime,
        runtime.session(agent="support", user="kim@acme.example") as session,
    ):
        answered = Answered(session, runtime, approve=True)
        await answered.call("billing.refund", args)
        again = await answered.call("billing.refund", args)
        assert again.error == "order 8807 was 79.00, 45.00 of it was paid back already"
        assert (
            await answered.call("billing.refund", {**args, "order": "9999"})
        ).error == "there is no order '9999'"
        odd = await session.call("billing.refund", {**args, "account": "to me"})
        assert odd.status is Status.DENIED
    assert len(payments(house)) == 1


async def test_a_script_from_a_ticket_is_run_and_gets_nothing(house: Path) -> None:
    answered, output = await play(house, hijacked=False, approve=False)
    table, script = [outcome.value for tool, _, outcome in answered.outcomes if tool == "python.run"]
    assert table["value"] == {"orders": 2, "left": 213.0}
    assert "8804    Grinder GX-2" in table["stdout"]
    tried = dict(line.split(": ", 1) for line in script["stdout"].splitlines())
    assert "No such file" in tried["read your password file"]
    assert "No such file" in tried["look into root's home"]
    assert tried["take keys from the environment"] == "[]"
    assert "Permission denied" in tried["send it all to 203.0.113.9"]
    assert "unavailable" in tried["start 1000 processes"]
    assert "ran the script of T-2045" in output
