"""`pratique serve` as a process of its own, with tools whose effects are lines in a file."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

from pratique.capabilities.policy import Policy
from pratique.identity.keys import Keys
from pratique.identity.people import People
from pratique.ledger import policies, queries
from pratique.ledger.door import Ledger
from tests.house import POLICY

ROOT = Path(__file__).parents[2]

TOOLS = '''
import asyncio, os
from pathlib import Path
from pratique.tools.declaration import tool
from pratique.tools.context import ToolContext

EFFECTS = Path(os.environ["TEST_EFFECTS"])


def effect(text):
    with EFFECTS.open("a") as file:
        file.write(text + "\\n")
        file.flush()
        os.fsync(file.fileno())


@tool("desk.look", tier="read", sources={"*": "meta"})
async def look(ctx: ToolContext, text: str) -> dict[str, str]:
    """Look."""
    return {"seen": text}


@tool("desk.note", tier="write", sources={"*": "meta"}, timeout=60)
async def note(ctx: ToolContext, text: str, seconds: float = 0.0) -> dict[str, str]:
    """Write a note, slowly."""
    effect(f"begun {ctx.call_id}")
    await asyncio.sleep(seconds)
    effect(f"ended {ctx.call_id}")
    return {"noted": text}


@tool("desk.pay", tier="irreversible", sources={"*": "meta"}, sinks={"to": "dest"})
async def pay(ctx: ToolContext, to: str, amount: int) -> dict[str, int]:
    """Pay money."""
    effect(ctx.call_id)
    return {"paid": amount}
'''


class Place:
    """A folder with settings, tools and a ledger that has the usual policy in force.

    Args:
        folder: made here.
        server: settings of the server, TOML.
    """

    def __init__(self, folder: Path, server: str = "") -> None:
        self.folder, self.effects_file = folder, folder / "effects"
        folder.mkdir(exist_ok=True)
        (folder / "server_tools.py").write_text(TOOLS)
        (folder / "policy.toml").write_text(POLICY)
        (folder / "pratique.toml").write_text(f'tools = ["server_tools"]\n[server]\nport = 0\n{server}')
        with self.ledger() as ledger:
            if ledger.read(queries.epoch) == 0:
                policies.apply(ledger, Policy(POLICY), "local:test", 0)

    def ledger(self) -> Ledger:
        """Return the ledger, opened beside the server's."""
        return Ledger(self.folder / ".pratique")

    def key(self) -> str:
        """Return a key's text."""
        with self.ledger() as ledger:
            return Keys(ledger).issue("support", ["*"], "local:test").text

    def link(self, name: str) -> str:
        """Return a login link's secret."""
        with self.ledger() as ledger:
            people = People(ledger)
            if people.find(name) is None:
                people.add(name, "local:test")
            return people.link(name, "local:test")

    def effects(self) -> list[str]:
        """Return what the tools did."""
        return self.effects_file.read_text().splitlines() if self.effects_file.exists() else []

    def start(self, *arguments: str, **environment: str) -> "Served":
        """Start a server."""
        return Served(self, arguments, environment)

    def run(self, *arguments: str, **more: Any) -> "subprocess.CompletedProcess[str]":
        """Run a verb of the command line to its end."""
        return subprocess.run(
            [sys.executable, "-m", "pratique", *arguments],
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            **more,
        )

    def environment(self) -> dict[str, str]:
        """Return what the program finds around it."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PRATIQUE_")}
        return {
            **kept,
            "PYTHONPATH": f"{ROOT}{os.pathsep}{self.folder}",
            "TEST_EFFECTS": str(self.effects_file),
        }


class Served:
    """A server that runs.

    Args:
        place: where.
        arguments: of `pratique serve`.
        environment: more variables.
    """

    def __init__(self, place: Place, arguments: tuple[str, ...], environment: dict[str, str]) -> None:
        self.place = place
        self._log = (place.folder / "server.log").open("w+")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pratique", "serve", *arguments],
            cwd=place.folder,
            env={**place.environment(), **environment},
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        self.url = self._address()

    def log(self) -> str:
        """Return what it said."""
        self._log.flush()
        return Path(self._log.name).read_text()

    def client(self, **options: Any) -> httpx2.Client:
        """Return a caller."""
        return httpx2.Client(base_url=f"{self.url}/api/v1", timeout=30, **options)

    def stop(self, by: signal.Signals = signal.SIGTERM, seconds: float = 30) -> int:
        """Send a signal, wait, and return the exit code."""
        self.process.send_signal(by)
        return self.wait(seconds)

    def wait(self, seconds: float = 30) -> int:
        """Wait for its end and return the exit code."""
        code = self.process.wait(seconds)
        self._log.close()
        return code

    def _address(self) -> str:
        until = time.monotonic() + 30
        while time.monotonic() < until:
            found = re.search(r"serving (https?://\S+);", self.log())
            if found:
                return found[1]
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        raise AssertionError(f"it did not start: {self.log()}")


@contextmanager
def served(place: Place, *arguments: str, **environment: str) -> Iterator[Served]:
    """Give a server, and end it."""
    server = place.start(*arguments, **environment)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.process.kill()
            server.wait()
