"""How questions look in a terminal: the queue's table, and what belongs to one question."""

from collections.abc import Iterator, Sequence

import orjson
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from pratique.appearance import visible
from pratique.approvals.card import Card, CardOrigin
from pratique.approvals.dossier import Dossier
from pratique.approvals.listing import Line, Page
from pratique.approvals.question import Question
from pratique.approvals.standing import StandingApproval
from pratique.capabilities.patterns import in_words
from pratique.cli.trace import moment

ORIGIN_STYLES = {
    "untrusted": "bold red",
    "identity": "yellow",
    "model": "yellow",
    "request": "green",
    "approver": "green",
}
STATE_STYLES = {"proposed": "yellow", "approved": "green", "finished": "green", "rejected": "red"}
MINUTE, HOUR, DAY = 60, 3600, 24 * 3600


def queue_table(page: Page) -> Table:
    """Return the queue: what presses most first."""
    table = Table(box=None, header_style="dim", pad_edge=False)
    for column in ("ticket", "tool, asked by", "tier, taint", "state"):
        table.add_column(column, no_wrap=column != "tool, asked by", overflow="fold")
    for line in page.lines:
        tier = Text(line.tier, style="bold red" if line.tier == "irreversible" else "")
        if line.taint != "none":
            tier.append(f"\n{line.taint}", style="red" if line.taint == "sink" else "yellow")
        who = visible(f"{line.agent} for {line.user}" if line.user else line.agent)
        table.add_row(line.ticket, Text.assemble(line.tool, (f"\n{who}", "dim")), tier, _stands(line))
    return table


def _stands(line: Line) -> Text:
    if line.state == "proposed":
        return Text(f"pending\n{span(line.wait_s)} left", style="bold red" if line.urgent else "")
    return Text(line.state, style=STATE_STYLES.get(line.state, "dim"))


def dossier_view(found: Dossier) -> Group:
    """Return everything that belongs to a question, the card first."""
    parts: list[RenderableType] = [card_panel(found.card, found.question)]
    if found.why:
        parts.append(Text.assemble(("The agent says: ", "dim"), (visible(found.why), "italic")))
        parts.append(Text("  (its own words: nothing is bound to them)", style="dim"))
    parts += [Text(line) for line in _history(found)]
    if found.ran is not None:
        parts.append(Text(_ran(found), style="bold"))
        if found.ran.result is not None:
            parts.append(Text(visible(found.ran.result)))
    parts += [
        Text(f"earlier: {one.ticket} {one.state}{_by(one.decided_by)} {visible(one.reason)}", style="dim")
        for one in found.earlier
    ]
    if found.question.state == "proposed":
        parts.append(Text(_what_next(found), style="dim"))
    return Group(*parts)


def card_panel(card: Card, question: Question | None = None) -> Panel:
    """Return the card as a panel: full arguments, nothing cut."""
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim")
    facts.add_column(overflow="fold")
    for argument in card.arguments:
        name = f"{argument.name} ({argument.decides})" if argument.decides else argument.name
        facts.add_row(name, Text(argument.text))
        for origin in _each_passage_once(argument.origins):
            facts.add_row("", origin_line(origin))
    who = Text(f"{card.agent}, for {card.user}", style="dim")
    notes: list[RenderableType] = []
    if card.taint:
        notes.append(Text(card.taint, style="bold red" if card.alarm else ""))
    if card.preview:
        notes += [Text("What will change:", style="bold"), _preview(card.preview), Text("")]
    notes.append(Text(f"{card.effect} Asked because: {'; '.join(card.rules)}.", style="dim"))
    if card.refuses:
        notes.append(Text(f"Cannot be approved: {card.refuses}", style="bold red"))
    if question is not None:
        notes.append(Text(f"waits until {moment(question.wait_until_us)}", style="dim"))
    return Panel(
        Group(who, Text(""), facts, Text(""), *notes),
        title=Text.assemble((card.tool, "bold"), f"  {card.tier}"),
        title_align="left",
        subtitle=question.ticket if question else None,
        subtitle_align="left",
        border_style="red" if card.alarm else "yellow",
    )


def _each_passage_once(origins: Sequence[CardOrigin]) -> Iterator[CardOrigin]:
    """Yield the origins, which come worst first, without what is said of the same words again."""
    seen = set()
    for origin in origins:
        if origin.match not in seen:
            yield origin
        seen.add(origin.match or origin)


def origin_line(origin: CardOrigin) -> Text:
    """Return where a value came from as a line: who, which field, and the words around it."""
    words = [("↳ ", "dim"), (origin.words, ORIGIN_STYLES.get(origin.kind, "dim"))]
    if origin.match:
        around = (f"  …{_one_line(origin.before)}", "dim"), (f"{_one_line(origin.after)}…", "dim")
        words += [around[0], (origin.match, "bold underline"), around[1]]
    return Text.assemble(*words)


def standing_list(found: list[StandingApproval]) -> Group:
    """Return standing approvals, with how often each fired."""
    lines: list[Text] = []
    for one in found:
        pattern = "[erased: counts for nothing]" if one.pattern is None else in_words(one.pattern)
        style = "green" if one.state == "active" else "dim"
        facts = f"{one.tool} by {visible(one.agent)}, {one.uses} of {one.max_uses} used"
        lines += [
            Text.assemble(
                (one.id, "bold"), "  ", (one.state, style), f"  {facts}, until {moment(one.expires_us)}"
            ),
            Text(f"  if {visible(pattern)}"),
            Text(f"  {visible(', '.join(one.people))}: {visible(one.reason)}", style="dim"),
        ]
    return Group(*lines)


def span(seconds: int) -> str:
    """Return a span of time as people say it: `45 s`, `12 min`, `3 h 5 min`, `2 d`."""
    if seconds < MINUTE:
        return f"{seconds} s"
    if seconds < HOUR:
        return f"{seconds // MINUTE} min"
    if seconds < DAY:
        return f"{seconds // HOUR} h {seconds % HOUR // MINUTE} min"
    return f"{seconds // DAY} d"


def _preview(text: str) -> RenderableType:
    """Return a preview; a diff in colours, and nothing of it is obeyed."""
    if text.startswith("--- "):
        return Syntax(text, "diff", theme="ansi_dark", background_color="default", word_wrap=True)
    return Text(text)


def _history(found: Dossier) -> list[str]:
    edit = found.edit
    lines = (
        [] if edit is None else [f"edited by {edit.by}: {orjson.dumps(edit.changed).decode()} {edit.reason}"]
    )
    lines += [f"{one.voter}: {one.vote} {one.reason}" for one in found.votes]
    lines += [f"{one.by} handed it to {one.to} {one.reason}" for one in found.handed]
    lines += [f"{one.speaker} ({one.kind}): {one.text}" for one in found.thread]
    if found.question.state == "edited":
        lines.append(f"edited: now {found.question.edited_to} asks")
    if found.question.state == "proposed" and not found.current:
        lines.append("The policy changed since this was asked: no answer counts any more.")
    return [visible(line) for line in lines]


def _ran(found: Dossier) -> str:
    ran = found.ran
    if ran is None:
        return ""
    took = f" in {ran.duration_us / 1000:.0f} ms" if ran.duration_us else ""
    return f"{ran.outcome}{took} (record {ran.record})" + (f": {visible(ran.error)}" if ran.error else "")


def _what_next(found: Dossier) -> str:
    missing = ", ".join(
        f"{one.quorum - one.given} of {one.approvers}" for one in found.wanting if one.given < one.quorum
    )
    if found.why_not:
        return f"Still needs: {missing}. You cannot answer: {visible(found.why_not)}."
    confirm = ' --confirm "…what it goes to…"' if found.card.confirm else ""
    ticket = found.question.ticket
    return (
        f"Still needs: {missing}. Answer with\n"
        f"  pratique approvals approve {ticket}{confirm}\n"
        f'  pratique approvals reject {ticket} --reason "…"'
    )


def _by(people: tuple[str, ...]) -> str:
    return f" by {visible(', '.join(people))}" if people else ""


def _one_line(text: str) -> str:
    return " ".join(text.split(" ")).replace("\n", " ")
