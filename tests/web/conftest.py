"""A browser, a server in a process of its own, an agent that asks, and people who log in.

Rules:
- One browser and one server for all tests of a worker; each test has people, tabs and questions of its own.
- Both end with this folder: while Playwright's synchronous API is open, its event loop counts as running in
  this thread, and no asynchronous test could run here.
- Where there is no Chromium and none can be installed, the tests skip with the reason.
"""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from pratique.identity.people import People
from pratique.ledger import erasure, queries
from pratique.ledger.door import Ledger
from pratique.ledger.erasing import Erasing
from pratique.model import Outcome
from pratique.runtime import Runtime
from pratique.sessions.session import Session
from tests.servers.machine import demand, end, free_port, until
from tests.web.house import runtime_at

CHROMIUM = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE_MS = 30_000
"""How long a page may take: these tests run beside others, on a busy machine."""

expect.set_options(timeout=PATIENCE_MS)

REQUEST = "Write a note, and pay what the letter asks for."


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep all tests of the browser on one worker: they share what is slow to start."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.xdist_group("web"))


class Site:
    """The server, and what stands beside it on the same ledger: an agent, and a hand that opens doors.

    Args:
        address: where the server listens.
        ledger: the same ledger, as another process has it.
        runtime: the agent's own.
        portal: where its loop runs.
    """

    def __init__(self, address: str, runtime: Runtime, portal: BlockingPortal) -> None:
        self.address, self.runtime, self._portal = address, runtime, portal
        self._people = People(runtime.ledger)

    @property
    def ledger(self) -> Ledger:
        """The ledger, as the agent's process has it."""
        return self.runtime.ledger

    def session(self, user: str = "kim@acme.example") -> Session:
        """Return a new session of the agent."""
        return self._portal.call(
            lambda: self.runtime.open_session(agent="support", user=user, request=REQUEST)
        )

    def call(self, session: Session, tool: str, **args: Any) -> Outcome:
        """Return what becomes of a call at once."""
        return self._portal.call(lambda: session.call(tool, args))

    def ask(self, tool: str = "note.write", **args: Any) -> str:
        """Return the ticket of a question about a call, in a session that has read nothing from outside."""
        return self.call(self.session(), tool, **args).ticket

    def ask_tainted(self, tool: str = "money.pay", **args: Any) -> str:
        """Return the ticket of a question about a call, after a letter was read."""
        session = self.session()
        self.call(session, "mail.read")
        return self.call(session, tool, **args).ticket

    def do(self, work: Callable[[], Awaitable[Any]]) -> Any:
        """Return what comes of some work in the agent's loop."""

        async def done() -> Any:
            return await work()

        return self._portal.call(done)

    @property
    def told(self) -> Path:
        """The folder of the other program's server."""
        return self.ledger.path.parent.parent / "told"

    def erase(self, seq: int) -> None:
        """Erase the values of the call that a record is about."""
        record = self.ledger.read(lambda connection: queries.record(connection, seq))
        assert record is not None
        erasing = Erasing(session=record["session"], call=record["call_id"])
        erasure.erase(self.ledger, erasing, "of the tests", "ana@acme.example")

    def link(self, name: str, *roles: str) -> str:
        """Return a login link for a person, who is made if need be."""
        if self._people.find(name) is None:
            self._people.add(name, "local:test", roles=roles)
        return f"{self.address}/login/link/{self._people.link(name, 'local:test')}"


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("web") / "ledger"
    with start_blocking_portal() as portal:
        runtime = runtime_at(folder)
        port = free_port()
        command = [sys.executable, "-m", "tests.web.house", str(folder), str(port)]
        root = Path(__file__).parents[2]
        process = subprocess.Popen(command, cwd=root, env={**os.environ, "PYTHONPATH": str(root)})
        try:
            address = f"http://127.0.0.1:{port}"
            until(lambda: process.poll() is not None or _answers(f"{address}/healthz"), "the server", 60)
            assert process.poll() is None, "the server ended"
            yield Site(address, runtime, portal)
        finally:
            end(process)
            portal.call(runtime.aclose)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    program = demand("chromium", "chromium")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=program, args=CHROMIUM)
        yield launched
        launched.close()


Visit = Callable[..., Page]


@pytest.fixture
def visit(browser: Browser, site: Site) -> Iterator[Visit]:
    """Give a function that logs a person in, in a browser context of their own, and returns the page."""
    opened: list[BrowserContext] = []
    complaints: list[str] = []

    def logged_in(name: str = "li@acme.example", *roles: str, **options: Any) -> Page:
        context = browser.new_context(base_url=site.address, **options)
        context.set_default_timeout(PATIENCE_MS)
        opened.append(context)
        page = context.new_page()
        page.on("console", lambda message: _complaint(message.type, message.text, complaints))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: _foreign(request.url, site.address, complaints))
        page.goto(site.link(name, *roles))
        page.get_by_role("button", name="Log in with this link").click()
        page.wait_for_url("**/queue")
        return page

    yield logged_in
    for context in opened:
        context.close()
    assert not complaints, complaints


def _complaint(kind: str, text: str, complaints: list[str]) -> None:
    """Keep what a page complains of; an answer that says no (4xx) is not a complaint about the page."""
    if kind in {"error", "warning"} and "Failed to load resource" not in text:
        complaints.append(text)


def _foreign(url: str, address: str, complaints: list[str]) -> None:
    if not url.startswith((address, "about:", "data:", "blob:")):
        complaints.append(f"a request to {url}")


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310  # our own server
            return bool(json.load(answer)["status"] == "ok")
    except (URLError, OSError, ValueError):
        return False
