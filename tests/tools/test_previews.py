"""Promise: what a card says that a call will change is what it would change, and looking changes nothing."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from pratique.errors import ToolError
from pratique.model import Preview
from pratique.tools import email, files, tickets
from pratique.tools.context import ToolContext, World
from pratique.tools.declaration import Tool, tool
from pratique.tools.execution import Executor
from pratique.tools.files import write_file
from pratique.tools.previews import Previews
from pratique.tools.registry import Registry
from tests.tools.conftest import call_of

LETTER = {"to": ["mo@shop.example"], "subject": "Your order", "body": "It is on\nits way."}


def tools() -> dict[str, Tool]:
    """Every built-in tool of the modules that need nothing but folders."""
    found = (value for module in (email, files, tickets) for value in vars(module).values())
    return {tool.capability.name: tool for tool in found if isinstance(tool, Tool)}


async def previewed(world: World, tool: Tool, **args: Any) -> Preview:
    return await Previews(Registry([tool]), Executor(world)).of(call_of(tool, args))


def everything(world: World) -> dict[Path, bytes]:
    return {
        path: path.read_bytes()
        for root in world.roots.values()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }


def test_what_writes_over_or_leaves_the_house_has_a_preview() -> None:
    assert {name for name, tool in tools().items() if tool.preview is not None} == {
        "files.write",
        "mail.send",
        "tickets.update",
    }


async def test_a_letter_is_told_by_where_it_goes_and_is_not_sent(world: World) -> None:
    before = everything(world)
    said = await previewed(world, tools()["mail.send"], **LETTER, cc=["li@acme.example"])
    assert said.problem == ""
    assert "2 recipients" in said.text
    assert "outside of the sender's domain: shop.example" in said.text
    assert "in a new thread" in said.text
    assert everything(world) == before


async def test_a_file_is_told_as_a_diff_and_stays(world: World) -> None:
    note = world.roots["files"] / "note.txt"
    note.write_text("one\ntwo\n")
    before = everything(world)
    said = await previewed(world, write_file, path="note.txt", content="one\nthree\n")
    assert {"-two", "+three"} <= set(said.text.splitlines())
    assert (await previewed(world, write_file, path="new.txt", content="ö")).text.startswith(
        "A new file of 2 bytes"
    )
    kept = await previewed(world, write_file, path="note.txt", content="x", replace=False)
    assert kept.text.startswith("Nothing is written")
    binary = await previewed(world, write_file, path="note.txt", content="AAE=", encoding="base64")
    assert binary.text.endswith("of 8 bytes is replaced by 2 bytes.")
    assert everything(world) == before


@pytest.mark.parametrize("path", ["../elsewhere.txt", "/etc/passwd"])
async def test_what_lies_outside_is_no_preview_but_a_problem(world: World, path: str) -> None:
    said = await previewed(world, write_file, path=path, content="x")
    assert said.text == ""
    assert said.problem.startswith("what it will change cannot be said")


async def test_what_is_too_long_for_a_diff_is_told_by_its_size(world: World) -> None:
    (world.roots["files"] / "long.txt").write_text("".join(f"{number}\n" for number in range(40_000)))
    text = "".join(f"{number} now\n" for number in range(40_000))
    said = await previewed(world, write_file, path="long.txt", content=text)
    assert (said.problem, "40000 lines" in said.text, len(said.text) < 200) == ("", True, True)


async def test_a_ticket_that_is_not_there_is_a_problem(world: World) -> None:
    said = await previewed(world, tools()["tickets.update"], id="T-1", state="closed")
    assert said.text == ""
    assert said.problem, "nobody can say what would change"
    assert everything(world) == {}


async def test_a_secret_that_a_preview_gives_away_is_on_no_card() -> None:
    def preview(ctx: ToolContext, text: str) -> str:
        if text == "raise":
            raise ToolError(f"cannot log in with {ctx.secret('pen')}")
        return f"logged in with {ctx.secret('pen')}"

    @tool("desk.stamp", tier="irreversible", sources={"*": "meta"}, secrets=["pen"], preview=preview)
    async def stamp(_: ToolContext, text: str) -> dict[str, str]:
        """Stamp."""
        return {"stamped": text}

    world = World({}, {"pen": SecretStr("hunter2-of-the-desk")})
    raised = await previewed(world, stamp, text="raise")
    assert raised.problem == "what it will change cannot be said: cannot log in with [secret pen]"
    assert (await previewed(world, stamp, text="say")).text == "logged in with [secret pen]"
