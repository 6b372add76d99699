"""Makes the pictures of the README: the example's questions in the queue, one card, one trace.

    python tools/screenshots.py                 # writes docs/images/
    python tools/screenshots.py --all FOLDER    # every page, on a desk and a phone, light and dark

It runs the support example in a folder of its own, starts a server on it, and drives the system's Chromium.
"""

import asyncio
import shutil
import socket
import sys
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path

import uvicorn
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright
from pratique.examples.support import agent

from pratique.app import open_runtime
from pratique.identity.people import People
from pratique.runtime import Runtime
from pratique.server.app import create_app

ROOT = Path(__file__).resolve().parents[1]
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
DESK = ViewportSize(width=1200, height=800)
PHONE = ViewportSize(width=360, height=740)


async def play(folder: Path) -> None:
    """Run the example's agent twice, the second time hijacked; answer some of what it asks."""
    agent.PATIENCE = 0.0
    async with open_runtime(folder / "pratique.toml") as runtime:
        async with runtime.session(
            agent="support", user="kim@acme.example", request=agent.REQUEST, model=agent.MODEL
        ) as session:
            session.finish(await agent.run(session, runs_code=False))
        for question in runtime.queue.questions():
            if question.tool in {"mail.draft", "tickets.update"}:
                await runtime.answer(question.ticket, "li@acme.example", approve=True)
        async with runtime.session(
            agent="support", user="kim@acme.example", request=agent.REQUEST, model=agent.MODEL
        ) as session:
            session.finish(await agent.run_hijacked(session))


def serve(runtime: Runtime, port: int) -> uvicorn.Server:
    """Start a server in a thread; return it once it listens."""
    config = uvicorn.Config(create_app(runtime), port=port, log_level="warning", access_log=False)
    server = uvicorn.Server(config)
    threading.Thread(target=server.run, daemon=True).start()
    while not server.started:
        time.sleep(0.05)
    return server


def visitor(browser: Browser, base: str, link: str, size: ViewportSize, scheme: str) -> Page:
    """Return a page of somebody who has logged in."""
    dark = scheme == "dark"
    context = browser.new_context(base_url=base, viewport=size, color_scheme="dark" if dark else "light")
    page = context.new_page()
    page.goto(f"/login/link/{link}")
    page.get_by_role("button").click()
    page.wait_for_url("**/queue")
    return page


def pictures(page: Page, folder: Path, runtime: Runtime) -> None:
    """Make the README's pictures."""
    refund = [one for one in runtime.queue.questions() if one.tool == "billing.refund"][-1]
    folder.mkdir(parents=True, exist_ok=True)
    page.goto("/queue")
    page.locator("#list .item").nth(1).locator(".tool").focus()
    page.screenshot(path=folder / "queue.png")
    page.goto(f"/queue/{refund.ticket}")
    page.locator(".origin").first.locator("summary").click()
    page.mouse.move(0, 0)
    page.screenshot(path=folder / "card.png")
    page.goto(f"/traces/{refund.session}")
    page.locator("#call-15").evaluate("step => window.scrollTo(0, step.getBoundingClientRect().top - 16)")
    page.screenshot(path=folder / "trace.png")


def everything(browser: Browser, base: str, people: People, folder: Path, runtime: Runtime) -> None:
    """Make a picture of every page, whole, for whoever works on them."""
    questions = runtime.queue.questions(None)
    chosen = {one.tool: one for one in questions}
    open_ones = [one for one in questions if one.state == "proposed"]
    comment = chosen["tickets.comment"]
    addresses = {
        "queue": "/queue",
        "card-mail": f"/queue/{chosen['mail.send'].ticket}",
        "card-refund": f"/queue/{open_ones[-2].ticket}",
        "card-plain": f"/queue/{comment.ticket}",
        "card-over": f"/queue/{chosen['mail.draft'].ticket}",
        "edit": f"/queue/{chosen['mail.send'].ticket}/edit",
        "standing": "/standing",
        "standing-new": f"/standing/new?ticket={comment.ticket}",
        "decided": "/decided",
        "traces": "/traces",
        "trace": f"/traces/{comment.session}",
        "tools": "/tools",
        "policy": "/policy",
        "log": "/audit",
        "figures": "/figures",
        "account": "/account",
        "none": "/queue/t_0000000000000000",
        "login": "/login",
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, size in (("desk", DESK), ("phone", PHONE)):
        for scheme in ("light", "dark"):
            page = visitor(browser, base, people.link("ana@acme.example", "local:shots"), size, scheme)
            for title, address in addresses.items():
                if title == "login":
                    page.context.clear_cookies()
                page.goto(address)
                page.screenshot(path=folder / f"{title}-{name}-{scheme}.png", full_page=True)
            page.context.close()


def main(arguments: list[str]) -> None:
    """Make the pictures."""
    program = (
        shutil.which("chromium") or shutil.which("google-chrome") or sys.exit("no Chromium is installed")
    )
    with tempfile.TemporaryDirectory() as place, closing(socket.socket()) as taken:
        folder = Path(place) / "support"
        shutil.copytree(
            ROOT / "examples/support", folder, ignore=shutil.ignore_patterns(".pratique", "__pycache__")
        )
        asyncio.run(play(folder))
        runtime = open_runtime(folder / "pratique.toml")
        people = People(runtime.ledger)
        people.add("ana@acme.example", "local:shots", roles=["owner"])
        taken.bind(("127.0.0.1", 0))
        port = int(taken.getsockname()[1])
        taken.close()
        server = serve(runtime, port)
        base = f"http://127.0.0.1:{port}"
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=program, args=CHROMIUM)
            if "--all" in arguments:
                to = Path(arguments[arguments.index("--all") + 1])
                everything(browser, base, people, to, runtime)
            else:
                link = people.link("ana@acme.example", "local:shots")
                pictures(visitor(browser, base, link, DESK, "light"), ROOT / "docs/images", runtime)
            browser.close()
        server.should_exit = True


if __name__ == "__main__":
    main(sys.argv[1:])
