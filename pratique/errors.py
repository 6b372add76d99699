"""Every exception that Pratique raises, and what to do about it.

A denial is not here: it is a value (`pratique.model.Deny`, `Outcome`). An exception means that Pratique
could not decide or could not record, so the call did not run.

    PratiqueError
    ├── ConfigError                 settings or a declaration are wrong: nothing starts
    │   ├── SettingsError           pratique.toml or PRATIQUE_*
    │   ├── PolicyError             the policy file; carries every problem found
    │   ├── PolicyNotInForceError   the file differs from the policy that the ledger says is in force
    │   ├── ToolDeclarationError    a @tool that cannot be registered
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
    ├── UnknownSessionError         no session or trace has this name
    ├── TicketError                 an approval ticket cannot be used
    │   ├── UnknownTicketError      no such ticket
    │   ├── TicketClosedError       too late: it was already decided, used or expired
    │   └── NotAnApproverError      this person may not answer this question
    └── ToolError                   raised by a tool: the call failed, and the agent is told the text
        ├── UndeclaredError         it asked for something that its declaration does not name
        ├── HostRefusedError        a URL or an address that no tool may use
        ├── SandboxStoppedError     the code that it was handed was stopped in its sandbox
        └── OutcomeUnknownError     it may or may not have taken effect: the call ends as `unknown`
"""

from collections.abc import Sequence


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


class UnknownSessionError(PratiqueError):
    """No session or trace has this name. Look at `pratique trace list`."""


class TicketError(PratiqueError):
    """An approval ticket cannot be used; see the subclasses."""


class UnknownTicketError(TicketError):
    """No approval has this ticket. Look at `pratique approvals list`."""


class TicketClosedError(TicketError):
    """The answer came too late, or was already given: nothing was changed (HTTP 409)."""


class NotAnApproverError(TicketError):
    """This person may not answer this question. The message says which rule stands in the way."""


class ToolError(PratiqueError):
    """Raise it in a tool to fail the call with a message that the agent may read."""


class UndeclaredError(ToolError):
    """The tool asked for something that its declaration does not name. Declare it, or do without."""


class HostRefusedError(ToolError):
    """No tool may use this URL, or may be connected to this address. Look at what the name resolves to."""


class SandboxStoppedError(ToolError):
    """Code in a sandbox was stopped by a limit, or ended from outside. The message names the limit."""


class OutcomeUnknownError(ToolError):
    """Raise it when a write was sent and nobody can say whether it took effect. Never repeat it blindly."""
