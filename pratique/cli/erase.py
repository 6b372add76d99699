"""`pratique audit erase`: values gone for good, with who asked, who agreed and why.

Rules:
- Who erases is who is logged in to the machine; nobody says so for somebody else.
- What would go is shown first. Without `--yes` a person is asked.
- Exit codes: 0 gone; 1 not agreed to, or the file still holds old pages; 2 it could not be done.
"""

from typing import Annotated

import typer

from pratique.app import local_login, open_ledger
from pratique.cli.console import (
    FAILED,
    ConfigOption,
    JsonOption,
    complain,
    fail,
    load_settings,
    print_json,
    reporting_errors,
    say,
)
from pratique.cli.trace import moment
from pratique.errors import SettingsError
from pratique.ledger import erasure
from pratique.ledger.door import Ledger
from pratique.ledger.erasing import Erasing


@reporting_errors()
def erase_command(  # noqa: PLR0913  # one option per way to name what goes
    config: ConfigOption = None,
    *,
    subject: Annotated[
        str, typer.Option(metavar="USER", help="All values of one person, and the key they lie under.")
    ] = "",
    call: Annotated[
        str, typer.Option(metavar="SESSION[:CALL]", help="The values of one call, or of one session.")
    ] = "",
    reason: Annotated[str, typer.Option(help="Why; it stays in the log, in clear.")] = "",
    approve: Annotated[
        str, typer.Option(metavar="ID", help="Agree to what another person proposed (e_…).")
    ] = "",
    end_sessions: Annotated[
        bool, typer.Option("--end-sessions", help="End that person's open sessions.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    pending: Annotated[bool, typer.Option("--list", help="Show what waits for a second person.")] = False,
    finish: Annotated[
        bool, typer.Option("--finish", help="Only rewrite the file, after an erasure that could not.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Erase values for good: a person's, a session's or a call's.

    The log stays whole and verifies: it holds commitments, and what was erased reads as erased. If the policy
    names a group (`[erasure] approvers`), this proposes, and somebody else of that group agrees with
    `--approve`. The file is then rewritten, so that no page keeps what was deleted.

    Exit codes: 0 gone, or proposed; 1 not agreed to, or another process still reads old pages (run again
    with `--finish`); 2 not possible.

    Example: `pratique audit erase --subject kim@acme.example --reason "request 2026-114"`
    """
    with open_ledger(load_settings(config)) as ledger:
        if pending:
            _list(ledger, as_json=as_json)
        elif finish:
            _finish(ledger)
        elif approve:
            _agree(ledger, approve, end_sessions=end_sessions, yes=yes)
        else:
            _erase(ledger, _target(ledger, subject, call), reason, end_sessions=end_sessions, yes=yes)


def _target(ledger: Ledger, subject: str, call: str) -> Erasing:
    if bool(subject) == bool(call):
        raise SettingsError("say either --subject or --call")
    if subject:
        return Erasing(subject=ledger.vault.subject_id(subject))
    session, _, name = call.partition(":")
    return Erasing(session=session, call=name)


def _erase(ledger: Ledger, erasing: Erasing, reason: str, *, end_sessions: bool, yes: bool) -> None:
    found = _show(ledger, erasing)
    if not found.values and not erasing.subject:
        fail("there is nothing to erase: no such session or call, or its values are gone already", FAILED)
    if found.approvers:
        proposal = erasure.propose(ledger, erasing, reason, local_login())
        say(f"proposed as {proposal}: another person, of {found.approvers}, agrees with", "yellow")
        say(f"    pratique audit erase --approve {proposal}")
        return
    _confirm(yes=yes)
    done = erasure.erase(ledger, erasing, reason, local_login(), end_sessions=end_sessions)
    say(f"erased; record {done.seq} says so", "green")
    _finish(ledger)


def _agree(ledger: Ledger, proposal: str, *, end_sessions: bool, yes: bool) -> None:
    for found in erasure.proposals(ledger):
        if found.id == proposal:
            say(f"{found.asked_by} asks for it: {found.reason}")
            _show(ledger, found.erasing)
            _confirm(yes=yes)
    done = erasure.agree(ledger, proposal, local_login(), end_sessions=end_sessions)
    say(f"erased; record {done.seq} says so", "green")
    _finish(ledger)


def _show(ledger: Ledger, erasing: Erasing) -> erasure.Extent:
    found = erasure.extent(ledger, erasing)
    when = f", written {moment(found.first_us)} to {moment(found.last_us)}" if found.values else ""
    say(f"values of {found.values:,} records in {found.sessions:,} sessions{when}")
    if found.open_sessions:
        complain(f"still open: {', '.join(found.open_sessions)}", "yellow")
    return found


def _finish(ledger: Ledger) -> None:
    if not erasure.purge(ledger):
        fail("a process still reads old pages of the file: run `pratique audit erase --finish` later", FAILED)
    say("the file was rewritten: no page of it keeps what was deleted", "green")


def _confirm(*, yes: bool) -> None:
    if not yes and not typer.confirm("Erase them for good?", err=True):
        fail("not erased", FAILED)


def _list(ledger: Ledger, *, as_json: bool) -> None:
    waiting = erasure.proposals(ledger)
    if as_json:
        print_json(waiting)
        return
    for found in waiting:
        what = found.subject or ":".join(filter(None, (found.session, found.call_id)))
        say(f"{found.id}  {moment(found.ts_us)}  {found.asked_by}  {what}  {found.reason}")
    if not waiting:
        say("nothing waits", "dim")
