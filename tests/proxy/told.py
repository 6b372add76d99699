"""A runtime with another program's server, whose tools a test can change while it runs."""

import json
import sys
from pathlib import Path
from typing import Any

import pratique
from pratique.model import Tier
from pratique.proxy.pins import Pin, Pins
from pratique.runtime import Runtime
from pratique.settings import Settings
from tests.proxy.listed import entry

SERVER = Path(__file__).parent.parent / "servers" / "told.py"

POLICY = """
[agents.support]
owner = "ana@acme.example"

[groups]
leads = ["li@acme.example", "bo@acme.example"]

[[allow]]
id = "files"
to = "support"
tools = ["files.*"]
tier = "irreversible"
taint = "sink"

[[ask]]
id = "writes"
to = "*"
tools = ["*"]
tier = "write"
approvers = "leads"
wait = "4h"
use_within = "15m"
"""


class Told:
    """A folder with settings, a policy, and a server that lists what the test says.

    Args:
        folder: an empty one, or one that was made before.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.server = folder, folder / "server"
        self.server.mkdir(parents=True, exist_ok=True)
        (folder / "policy.toml").write_text(POLICY)
        self.configure()
        self.lists(entry())

    def configure(self, more: str = "") -> None:
        command = json.dumps([sys.executable, "-I", "-S", str(SERVER), str(self.server)])
        (self.folder / "pratique.toml").write_text(
            f'[servers.files]\ncommand = {command}\nruns_in = "inline"\n{more}'
        )

    def lists(self, *tools: dict[str, Any]) -> None:
        """Make the server list these tools from now on."""
        draft = self.server / "tools.json.new"
        draft.write_text(json.dumps(tools))
        draft.replace(self.server / "tools.json")

    def answers(self, result: dict[str, Any]) -> None:
        """Make the server answer calls with this."""
        (self.server / "answer.json").write_text(json.dumps(result))

    @property
    def calls(self) -> list[Any]:
        """What the server was called with: name and arguments."""
        path = self.server / "calls"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    @property
    def settings(self) -> Settings:
        return Settings.load(self.folder / "pratique.toml")

    def runtime(self) -> Runtime:
        return pratique.open_runtime(self.settings)


def approve(
    runtime: Runtime, tool: str = "files.read", tier: Tier = Tier.READ, by: str = "ana@acme.example"
) -> Pin:
    """Approve a tool as it was seen last, as another process would."""
    pins = Pins(runtime.ledger)
    return pins.approve(tool, pins.find(tool).seen, tier, by)
