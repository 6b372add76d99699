"""Every exception that Pratique raises, and what to do about it.

A denial is not here: it is a value (`pratique.model.Deny`, `Outcome`). An exception means that Pratique
could not decide or could not record, so the call did not run.

    PratiqueError
    ├── ConfigError                 settings or a declaration are wrong: nothing starts
    │   ├── SettingsError           pratique.toml or PRATIQUE_*
    │   ├── PolicyError             the policy file; carries every problem found
    │   ├── PolicyNotInForceError   the file differs from the policy that the ledger says is in force
    │   ├── ToolDeclarationError    a @tool that cannot be registered
    │   │   └── SchemaRefusedError  another program's JSON Schema that nothing can be checked against
    │   └── DependencyError         the environment holds something that must not be there
    ├── LedgerError                 the log cannot be used
    │   ├── LedgerUnavailableError  it cannot be written now (disk, lock, closed): calls are denied
    │   ├── LedgerFullError         its queue is full: back off and call again
    │   ├── LedgerVersionError      written by a newer Pratique
    │   ├── LedgerCorruptError      what is stored contradicts itself: verify before use
    │   ├── RecoveryRefusedError    nothing was recovered; the message says what to do instead
    │   ├── ErasureRefusedError     values were not erased; the message says who or what is in the way
    │   ├── ForkError               it is another history than the one that was signed for
    │   └── RetentionError          records that must stay cannot be dropped
    ├── NoteError                   a signed note, checkpoint or key that is not one, or not by whom it says
    ├── WitnessError                a witness did not take a checkpoint
    ├── CanonicalError              a value has no canonical JSON form (NaN, too deep, too large, not JSON)
    ├── ConstraintError             an argument condition could not be compiled or evaluated
    ├── SandboxUnavailableError     the demanded isolation level cannot be had on this machine
    ├── SessionClosedError          a call on a session that has ended
    ├── TraceInUseError             another session has this trace id
    ├── UnknownSessionError         no session or trace has this name
    ├── PinError                    a server or its tool is not there, or cannot be approved like this
    ├── IdentityError               a person, login or key is not there, or may not be
    │   ├── PasswordError           this password may not be chosen
    │   ├── LoginRefusedError       what was shown does not log anybody in
    │   └── LoginThrottledError     too many attempts; carries how long to wait
    ├── DoorError                   a server does not answer, or does not let a client in
    │   ├── NotAdmittedError        the key opens nothing, or not this
    │   └── TooMuchError            too much at a time; carries when to come back
    ├── TicketError                 an approval ticket cannot be used
    │   ├── UnknownTicketError      no such ticket
    │   ├── TicketClosedError       too late: it was already decided, used or expired
    │   ├── NotAnApproverError      this person may not answer this question
    │   ├── ConfirmationError       what cannot be undone was not confirmed by its destination
    │   ├── CardRefusesError        a part of the card cannot be shown, so nobody can say yes to it
    │   ├── EditError               the edited call cannot be asked about; nothing was changed
    │   └── StandingError           a standing approval cannot be made or changed like this
    ├── CursorError                 a place in a list that no list of ours gave
    └── ToolError                   raised by a tool: the call failed, and the agent is told the text
        ├── UndeclaredError         it asked for something that its declaration does not name
        ├── HostRefusedError        a URL or an address that no tool may use
        ├── SandboxStoppedError     the code that it was handed was stopped in its sandbox
        ├── ProxiedServerError      an MCP server behind it cannot be had, or breaks the protocol: nothing ran
        └── OutcomeUnknownError     it may or may not have taken effect: the call ends as `unknown`
"""

from collections.abc import Sequence


def told(problem: Exception) -> str:
    """Return what a foreign error says in one line of words: no number, no path that is said already."""
    words = getattr(problem, "strerror", None) or str(getattr(problem, "orig", None) or problem)
    return (words.splitlines() or [type(problem).__name__])[0]


class PratiqueError(Exception):
    """Base of all of Pratique's exceptions. Catch it where a program must not die of any of them."""


class ConfigError(PratiqueError):
    """Settings or a declaration are wrong. Mend the file and key that the message names."""


class SettingsError(ConfigError):
    """`pratique.toml` or a `PRATIQUE_*` variable is wrong. The message names the file and the key."""


class PolicyError(ConfigError):
    """The policy file does not load. Nothing of it is in force; the policy before it still is.

    Args:
        where: the file's name, or another word for where the text came from.
        problems: one line each, with the key it is about.
    """

    def __init__(self, where: str, problems: Sequence[str]) -> None:
        self.where = where
        self.problems = tuple(problems)
        super().__init__(f"{where}: " + "; ".join(self.problems))


class PolicyNotInForceError(ConfigError):
    """The policy file and the policy in force differ. Run `pratique policy apply`, or restore the file."""


class ToolDeclarationError(ConfigError):
    """A tool's declaration cannot be registered. Mend the decorator or signature that the message names."""


class SchemaRefusedError(ToolDeclarationError):
    """Nothing can be checked against this JSON Schema of another program, so its tool cannot be approved."""


class DependencyError(ConfigError):
    """An installed package makes Pratique unsafe to run. Uninstall what the message names."""


class LedgerError(PratiqueError):
    """The log cannot be used; see the subclasses."""


class LedgerUnavailableError(LedgerError):
    """The log cannot be written, so calls are denied until it can. Look at the disk and its rights."""


class LedgerFullError(LedgerUnavailableError):
    """More calls wait for the log than its queue holds. Nothing was dropped: back off and call again."""


class LedgerVersionError(LedgerError):
    """The database was written by a newer Pratique. Upgrade this installation."""


class LedgerCorruptError(LedgerError):
    """Stored state contradicts itself. Run `pratique audit verify` before anything else."""


class RecoveryRefusedError(LedgerError):
    """Nothing was recovered, and nothing was changed: there is no need, or it is no accident."""


class ErasureRefusedError(LedgerError):
    """Nothing was erased: a person must agree first, a session is open, or a hold is on it."""


class ForkError(LedgerError):
    """The ledger is another history than the one that was signed for. Restore the newest one, or recover."""


class RetentionError(LedgerError):
    """These records must stay: they are too young, held, in use, or not sealed. The message says which."""


class NoteError(PratiqueError):
    """A signed note, checkpoint or key is not one, or not by whom it says. Nothing of it may be used."""


class WitnessError(PratiqueError):
    """A witness did not take a checkpoint. The message says why; what it refused stays in the log."""


class CanonicalError(PratiqueError):
    """A value has no canonical JSON form. The message says which part and why."""


class ConstraintError(PratiqueError):
    """A named constraint does not compile, or cannot be evaluated on these arguments."""


class SandboxUnavailableError(PratiqueError):
    """The isolation level that policy or tool demands is not there. It is never replaced by a weaker one."""


class SessionClosedError(PratiqueError):
    """The session has ended. Open a new one, or resume it by its id."""


class TraceInUseError(PratiqueError):
    """A session has this trace id already. Leave `trace_id` out, or give each session one of its own."""


class UnknownSessionError(PratiqueError):
    """No session or trace has this name. Look at `pratique trace list`."""


class PinError(PratiqueError):
    """A server or a tool of it is not there, or cannot be approved or refused like this. Look at it again."""


class IdentityError(PratiqueError):
    """A person, login or key is not there, or cannot be as asked. The message says which and why."""


class PasswordError(IdentityError):
    """This password may not be chosen. The message says why."""


class LoginRefusedError(IdentityError):
    """What was shown does not log anybody in. The message is the same whatever was wrong."""


class LoginThrottledError(IdentityError):
    """Too many attempts failed. Wait `seconds`, then try again (HTTP 429)."""

    def __init__(self, seconds: int) -> None:
        self.seconds = seconds
        super().__init__(f"too many attempts failed; try again in {seconds} seconds")


class DoorError(PratiqueError):
    """A server does not answer, or not as one of ours would. Whether the call ran is in its trace."""


class NotAdmittedError(DoorError):
    """The key opens nothing, or not this: look at `pratique keys list` on the server."""


class TooMuchError(DoorError):
    """Too much at a time for one caller. Come back after `seconds`."""

    def __init__(self, text: str, seconds: int) -> None:
        self.seconds = seconds
        super().__init__(text)


class TicketError(PratiqueError):
    """An approval ticket cannot be used; see the subclasses."""


class UnknownTicketError(TicketError):
    """No approval has this ticket. Look at `pratique approvals list`."""


class TicketClosedError(TicketError):
    """The answer came too late, or was already given: nothing was changed (HTTP 409)."""


class NotAnApproverError(TicketError):
    """This person may not answer this question. The message says which rule stands in the way."""


class ConfirmationError(TicketError):
    """The call cannot be undone. Type what it goes to, as the card shows it (`Card.confirm`)."""


class CardRefusesError(TicketError):
    """What the call would do cannot be shown in full, so it cannot be approved. Reject it, or edit it."""


class EditError(TicketError):
    """The edited call cannot be asked about: the message says why. Nothing was changed."""


class StandingError(TicketError):
    """A standing approval cannot be made or changed like this. The message says what stands in the way."""


class CursorError(PratiqueError):
    """A cursor that no list gave. Begin at the start of the list."""


class ToolError(PratiqueError):
    """Raise it in a tool to fail the call with a message that the agent may read."""


class UndeclaredError(ToolError):
    """The tool asked for something that its declaration does not name. Declare it, or do without."""


class HostRefusedError(ToolError):
    """No tool may use this URL, or may be connected to this address. Look at what the name resolves to."""


class SandboxStoppedError(ToolError):
    """Code in a sandbox was stopped by a limit, or ended from outside. The message names the limit."""


class ProxiedServerError(ToolError):
    """An MCP server cannot be started or reached, or does not keep to the protocol: the call did not run.

    Look at the log, which has the server's own words; none of them is in the message: an agent reads that.
    """


class OutcomeUnknownError(ToolError):
    """Raise it when a write was sent and nobody can say whether it took effect. Never repeat it blindly."""
