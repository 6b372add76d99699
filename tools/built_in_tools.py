"""The table of built-in tools in docs/reference/built-in-tools.md, made from their declarations.

    python tools/built_in_tools.py > docs/reference/built-in-tools.md

A test compares the page with what this prints.
"""

from collections.abc import Iterable, Iterator
from datetime import date

from pratique.tools import code, email, email_mbox, files, tickets
from pratique.tools.declaration import Tool
from pratique.tools.endorse import endorse_tools
from pratique.tools.imap import ImapAccount, imap_tools
from pratique.tools.roundup import roundup_tools
from pratique.tools.smtp import SmtpAccount, smtp_tools
from pratique.tools.sql import Database, sql_tools
from pratique.tools.web import web_tools

HEAD = """\
# Built-in tools

Every tool that comes with Pratique, as it declares itself. None is there until the settings name its
module, or a host registers what a maker returns (`open_runtime(tools=[…])`). None may be called until the
policy says so.

`sinks` are the arguments that decide something ([classes](tools.md)). `from outside` are the result fields
that a stranger may have written; where it does not say *the rest*, the fields that are not named are made by
the system or vouched for. `reaches` is what the tool must be given: file roots, hosts, secrets, an isolation
level.
"""

FOOT = """\
More about them: [mail](tools-mail.md), [tickets](tools-tickets.md), [web](tools-web.md), [SQL](tools-sql.md),
[code](tools.md#code-that-nobody-here-wrote), [endorsers](../explanation/quarantine.md).
This page is made by `tools/built_in_tools.py`; a test compares the two.
"""

_OUTSIDE = ("untrusted", "identity", "internal")


def page() -> str:
    """Return the page."""
    return "\n".join([HEAD, *_sections(), FOOT])


def _sections() -> Iterator[str]:
    account = {"host": "mail.example.com", "user": "support", "secret": "mail"}
    imap = imap_tools(ImapAccount.model_validate(account))
    smtp = smtp_tools(SmtpAccount.model_validate(account))
    tracker = roundup_tools("https://tracker.example.com/support", "tracker", user="support")
    query = sql_tools({"crm": Database("crm_url")})
    endorsers = endorse_tools(
        choices={"name": ["a", "b"]},
        integers={"name": (1, 5)},
        dates={"name": (date(2026, 1, 1), date(2026, 12, 31))},
        directory=["li@acme.example"],
    )
    yield _section('Modules, named in the settings (`tools = ["pratique.tools.email"]`)', [
        ("pratique.tools.email", _declared(email)),
        ("pratique.tools.email_mbox", _declared(email_mbox)),
        ("pratique.tools.tickets", _declared(tickets)),
        ("pratique.tools.files", _declared(files)),
        ("pratique.tools.code", _declared(code)),
    ])  # fmt: skip
    yield _section("Makers, called by the host", [
        ("pratique.tools.imap.imap_tools(account)", imap),
        ("pratique.tools.smtp.smtp_tools(account)", smtp),
        ("pratique.tools.roundup.roundup_tools(url, secret, user=…)", tracker),
        ("pratique.tools.web.web_tools(hosts, private)", web_tools(["api.example.com"])),
        ("pratique.tools.sql.sql_tools(databases)", query),
        ("pratique.tools.endorse.endorse_tools(…)", endorsers),
    ])  # fmt: skip


def _declared(module: object) -> list[Tool]:
    return [value for value in vars(module).values() if isinstance(value, Tool)]


def _section(title: str, groups: Iterable[tuple[str, Iterable[Tool]]]) -> str:
    lines = [f"## {title}\n"]
    for name, tools in groups:
        lines += [
            f"### `{name}`\n",
            "| tool | tier | sinks | from outside | reaches |",
            "|---|---|---|---|---|",
        ]
        lines += [_row(tool) for tool in tools]
        lines.append("")
    return "\n".join(lines)


def _row(tool: Tool) -> str:
    made = tool.capability
    sinks = ", ".join(f"`{name}` {word}" for name, word in made.sinks.items())
    reaches = [f"root `{name}` ({mode})" for name, mode in made.paths.items()]
    reaches += [f"`{host}`" for host in made.hosts] + [f"secret `{name}`" for name in made.secrets]
    reaches += [f"at least a {made.runs_in}"] if made.runs_in != "inline" else []
    cells = (f"`{made.name}`", made.tier, sinks, _outside(tool), ", ".join(reaches))
    return f"| {' | '.join(cell or '–' for cell in cells)} |"  # noqa: RUF001  # the dash of an empty cell


def _outside(tool: Tool) -> str:
    if not tool.capability.sources:
        return "everything"
    if tool.capability.sources.get("*") == "untrusted" and len(tool.capability.sources) == 1:
        return "everything"
    named = [
        f"`{field}`" if word == "untrusted" else f"`{field}` ({word.removesuffix('!')})"
        for field, word in tool.capability.sources.items()
        if word.removesuffix("!") in _OUTSIDE
    ]
    rest = [] if "*" in tool.capability.sources or not tool.shape.foreign else ["the rest"]
    return ", ".join(named + rest)


if __name__ == "__main__":
    print(page(), end="")  # noqa: T201  # that is what it is for
