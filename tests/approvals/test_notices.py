"""Part 6: who has to be told is told, at least once, over restarts, and of no argument."""

import base64
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, get_args

import orjson
import pytest
from pydantic import SecretStr
from standardwebhooks import Webhook as Verifier

from pratique.app import open_notifier
from pratique.approvals.channels import Channel
from pratique.approvals.channels.apprise import Apprise
from pratique.approvals.channels.mail import Mail
from pratique.approvals.channels.webhook import PREFIX, Webhook, key_of
from pratique.approvals.notices import EVENTS, MOST_ATTEMPTS, Outbox
from pratique.approvals.notifier import Notifier
from pratique.errors import SettingsError
from pratique.runtime import Runtime
from pratique.settings import Settings
from pratique.settings_sections import Event
from tests.approvals.policies import BO, KIM, LI
from tests.house import House, opened, rebuilt_state, records, reject, state_of
from tests.servers.authority import Authority
from tests.servers.exim import PASSWORD, Exim
from tests.tools.loopback import Server, page

SECRET = PREFIX + base64.b64encode(b"k" * 32).decode()
KEY = base64.b64decode(SECRET.removeprefix(PREFIX))
LINK = "https://pratique.acme.example"
FINE, BROKEN, GONE = page("ok"), page("no", status="500 No"), page("no", status="410 Gone")


@pytest.fixture(scope="module")
def exim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Exim, Authority]]:
    authority = Authority(tmp_path_factory.mktemp("authority"))
    server = Exim(authority)
    yield server, authority
    server.stop()


@asynccontextmanager
async def serving(routes: dict[str, bytes]) -> AsyncIterator[Server]:
    server = Server()
    server.routes.update(routes)
    async with server.serving():
        yield server


def notifier(runtime: Runtime, *channels: Channel) -> Notifier:
    return Notifier(runtime.ledger, Outbox(runtime.ledger, runtime.desk, LINK), channels)


def hook(server: Server, clock: Any = None, *, name: str = "ops") -> Webhook:
    more = {} if clock is None else {"clock": clock}
    return Webhook(name, f"http://127.0.0.1:{server.port}/hook", KEY, EVENTS, **more)


async def ask(runtime: Runtime, text: str = "the secret plan") -> str:
    session = await opened(runtime)
    return (await session.call("desk.note", {"text": text})).ticket


async def test_a_webhook_is_signed_as_the_standard_says(scene: House) -> None:
    runtime = scene.runtime()
    ticket = await ask(runtime)
    async with serving({"/hook": FINE}) as server:
        assert (await notifier(runtime, hook(server)).once()).sent == 1
        assert (await notifier(runtime, hook(server)).once()).sent == 0
    (asked,) = server.asked
    told = Verifier(SECRET).verify(asked.body, asked.headers)
    assert told["type"] == "approval.asked"
    assert told["data"]["link"] == f"{LINK}/queue/{ticket}"
    assert told["data"]["groups"] == ["leads"]
    for hidden in (b"secret plan", KIM.encode(), LI.encode()):
        assert hidden not in asked.body


async def test_what_failed_is_sent_again_later_with_the_same_id_over_restarts(scene: House) -> None:
    runtime = scene.runtime()
    await ask(runtime)
    async with serving({"/hook": BROKEN}) as broken:
        assert (await notifier(runtime, hook(broken)).once()).failed == 1
        assert (await notifier(runtime, hook(broken)).once()).failed == 0, "not so soon"
        scene.clock.forward(15)
        after_restart = scene.runtime()
        assert (await notifier(after_restart, hook(broken)).once()).failed == 1
    scene.clock.forward(30)
    async with serving({"/hook": FINE}) as mended:
        assert (await notifier(scene.runtime(), hook(mended)).once()).sent == 1
    ids = {one.headers["webhook-id"] for one in (*broken.asked, *mended.asked)}
    assert len(ids) == 1
    assert rebuilt_state(runtime.ledger) == runtime.ledger.read(state_of)


async def test_an_attempt_whose_process_died_is_made_again(scene: House) -> None:
    runtime = scene.runtime()
    await ask(runtime)
    outbox = Outbox(runtime.ledger, runtime.desk, LINK)
    (due,) = outbox.due("webhook:ops", EVENTS)
    assert outbox.claim(due) is not None
    assert outbox.claim(due) is None, "another sender has it"
    assert outbox.due("webhook:ops", EVENTS) == []
    scene.clock.forward(15)
    assert [one.attempts for one in Outbox(scene.ledger(), runtime.desk).due("webhook:ops", EVENTS)] == [1]


async def test_who_is_gone_or_refuses_too_often_is_given_up(scene: House) -> None:
    runtime = scene.runtime()
    await ask(runtime)
    async with serving({"/hook": GONE}) as gone:
        await notifier(runtime, hook(gone)).once()
        scene.clock.forward(7200)
        await notifier(runtime, hook(gone)).once()
    assert len([one for one in gone.asked if b"asked" in one.body]) == 1
    async with serving({"/hook": BROKEN}) as broken:
        for _ in range(MOST_ATTEMPTS + 2):
            await notifier(runtime, hook(broken, name="other")).once()
            scene.clock.forward(3600)
    assert len(broken.asked) <= 2 * MOST_ATTEMPTS
    states = {record["state"] for record in records(runtime.ledger, "notice.delivery")}
    assert {"trying", "given up"} <= states


async def test_nobody_is_called_to_what_is_over(scene: House) -> None:
    runtime = scene.runtime()
    ticket = await ask(runtime)
    reject(runtime, ticket)
    async with serving({"/hook": FINE}) as server:
        await notifier(runtime, hook(server)).once()
    assert [orjson.loads(one.body)["type"] for one in server.asked] == ["approval.rejected"]


async def test_a_redirect_is_not_followed_and_a_dead_address_stops_nothing(scene: House) -> None:
    runtime = scene.runtime()
    await ask(runtime)
    dead = Webhook("dead", "http://127.0.0.1:9/hook", KEY, EVENTS)
    moved = page("", status="302 Found", location="http://127.0.0.1:9/")
    async with serving({"/hook": moved}) as server:
        done = await notifier(runtime, dead, hook(server)).once()
    assert (done.sent, done.failed, len(server.asked)) == (0, 2, 1)


async def test_mail_goes_to_who_may_answer_and_then_to_who_asked(
    scene: House, exim: tuple[Exim, Authority]
) -> None:
    server, authority = exim
    runtime = scene.runtime()
    mail = Mail(
        "localhost",
        server.smtps,
        tls="implicit",
        sender="pratique@acme.example",
        events=EVENTS,
        username="kim",
        password=SecretStr(PASSWORD),
        ca_file=authority.file,
    )
    ticket = await ask(runtime)
    assert (await notifier(runtime, mail).once()).sent == 1
    (to_li,), (to_bo,) = server.arrived("li"), server.arrived("bo")
    assert not server.has_mail("kim")
    assert (to_li["To"], to_bo["To"]) == (LI, BO)
    assert f"{LINK}/queue/{ticket}" in to_li.get_content()
    assert "secret plan" not in str(to_li)
    runtime.desk.ask_person(ticket, LI, "which plan?")
    reject(runtime, ticket)
    await notifier(runtime, mail).once()
    (to_kim,) = server.arrived("kim")
    assert to_kim["Subject"] == "desk.note: was rejected"


OLD_MODULES = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # apprise imports them


@OLD_MODULES
async def test_apprise_takes_anything_it_knows(scene: House) -> None:
    runtime = scene.runtime()
    await ask(runtime)
    async with serving({"/notify": FINE}) as server:
        url = SecretStr(f"json://127.0.0.1:{server.port}/notify")
        assert (await notifier(runtime, Apprise("chat", url, EVENTS)).once()).sent == 1
    assert b"waits for an answer" in server.asked[0].body
    assert b"secret plan" not in server.asked[0].body
    with pytest.raises(SettingsError, match="no such address"):
        Apprise("chat", SecretStr("nonsense"), EVENTS)


@pytest.mark.parametrize("secret", ["", "whsec_", "short", "whsec_!!!!", PREFIX + "YWJj"])
def test_a_weak_secret_is_refused(secret: str) -> None:
    with pytest.raises(SettingsError, match="at least 24 bytes"):
        key_of("ops", SecretStr(secret))


@OLD_MODULES
async def test_the_settings_say_who_is_told(scene: House, tmp_path: Path) -> None:
    file = tmp_path / "pratique.toml"
    (tmp_path / "key").write_text(SECRET)
    (tmp_path / "chat").write_text("json://127.0.0.1:9/")
    file.write_text(
        f"""
[secrets]
hook = "file:key"
chat = "file:chat"
[notify]
link = "{LINK}/"
[notify.webhooks.ops]
url = "https://hooks.acme.example/x"
secret = "hook"
events = ["asked", "escalated"]
[notify.mail]
host = "mail.acme.example"
sender = "pratique@acme.example"
[notify.apprise.chat]
secret = "chat"
"""
    )
    runtime = scene.runtime()
    assert open_notifier(Settings.load(file), runtime.ledger, runtime.desk) is not None
    (tmp_path / "key").write_text("short")
    with pytest.raises(SettingsError, match=r"notify\.webhooks\.ops"):
        open_notifier(Settings.load(file), runtime.ledger, runtime.desk)
    file.write_text(file.read_text().replace('secret = "hook"', 'secret = "none"'))
    with pytest.raises(SettingsError, match="no secret is called 'none'"):
        open_notifier(Settings.load(file), runtime.ledger, runtime.desk)
    file.write_text(file.read_text().replace("escalated", "everything"))
    with pytest.raises(SettingsError, match="events"):
        Settings.load(file)


def test_the_events_of_the_settings_are_those_of_the_outbox() -> None:
    assert set(get_args(Event)) == set(EVENTS)
