"""Promise: what docs/how-to/connect-a-mailbox.md says works as it stands there."""

import re
import sys
from pathlib import Path

import pytest

from pratique.capabilities.policy import Policy
from pratique.tools.registry import Registry

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "connect-a-mailbox.md"


def block(language: str, place: int = 0) -> str:
    found = re.findall(rf"   ```{language}\n(.*?)   ```", PAGE.read_text(), re.DOTALL)
    return "\n".join(line.removeprefix("   ") for line in found[place].splitlines())


def test_the_module_holds_every_mail_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mailbox.py").write_text(block("python"))
    monkeypatch.syspath_prepend(tmp_path)
    tools = {tool.capability.name: tool.capability for tool in Registry.from_modules(["mailbox"])}
    monkeypatch.delitem(sys.modules, "mailbox")
    assert sorted(tools) == [
        "mail.draft",
        "mail.flag",
        "mail.list",
        "mail.read",
        "mail.search",
        "mail.send",
        "mail.wait",
    ]
    assert {facts.secrets for facts in tools.values()} == {("mail",)}
    assert tools["mail.list"].hosts == ("imap.acme.example:993",)
    assert tools["mail.send"].hosts == ("smtp.acme.example:465",)


def test_the_policy_loads_and_names_tools_that_exist() -> None:
    written = block("toml", 1)
    agents = '[agents.support]\nowner = "ana@acme.example"\n[groups]\nsupport-leads = ["lee@acme.example"]\n'
    policy = Policy(agents + written)
    assert policy is not None
    assert set(re.findall(r'"(mail\.\w+)"', written)) == {
        f"mail.{name}" for name in ("list", "search", "read", "wait", "draft", "flag", "send")
    }
