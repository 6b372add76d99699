"""What the program says while it runs: structured lines, without secrets.

Rules:
- JSON in service, coloured text at a terminal. Always to standard error: standard output is for results.
- A line that cannot be written is lost, and changes nothing else.
- A call's lines carry its trace id and call id.
- What the MCP SDK and the HTTP client log quotes servers: it is written by the same way, made visible, and
  bounded: all of it by `configure_logs`, what our own connections cause in any process (`quoting_servers`).
  Other libraries' loggers are left alone.
- A processor takes secrets and personal data out of every line, whoever wrote it. Arguments and results are
  never logged.
"""

import contextlib
import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from contextvars import ContextVar
from typing import Any, TextIO, cast

import structlog

from pratique.appearance import visible
from pratique.redaction import KINDS, SECRET_NAMES, Kind, Redaction

Event = MutableMapping[str, Any]

QUOTING = ("mcp", "client", "httpx2", "httpcore2")
"""Loggers of libraries that quote what a server said; `client` is the MCP SDK's for its sessions."""

_LONGEST_WORDS = 500
_MINUTE = 60.0


class Redactor:
    """A structlog processor that takes secrets and personal data out of every value of a line.

    Args:
        redaction: what to take out.
    """

    def __init__(self, redaction: Redaction) -> None:
        self._redaction = redaction

    def __call__(self, _: Any, __: str, event: Event) -> Event:
        """Return the line without secrets."""
        return {key: self._clean(key, value) for key, value in event.items()}

    def _clean(self, key: str, value: Any) -> Any:
        if SECRET_NAMES.search(key):
            return "[redacted]"
        if value is None or isinstance(value, bool | int | float):
            return self._redaction.value(value)
        if isinstance(value, Mapping):
            return {
                self._redaction.text(str(name)): self._clean(str(name), item) for name, item in value.items()
            }
        if isinstance(value, list | tuple | set | frozenset):
            return [self._clean("", item) for item in value]
        # A renderer would write anything else by its repr.
        return self._redaction.text(value if isinstance(value, str) else _words(value))


def _words(value: object) -> str:
    try:
        return repr(value)
    except Exception:  # noqa: BLE001  # whatever a value's own code raises, the line is written
        return f"<{type(value).__name__}>"


def configure_logs(
    level: str = "info",
    form: str = "auto",
    secrets: Iterable[str] = (),
    kinds: Iterable[Kind] = KINDS,
    region: str | None = None,
) -> None:
    """Set up logging for a process.

    Args:
        level: the least level that is written.
        form: `json`, `text`, or `auto` (text at a terminal).
        secrets: values that must not appear.
        kinds: what else must not appear, by its form.
        region: the country whose telephone numbers are known without their prefix.
    """
    as_text = form == "text" or (form == "auto" and sys.stderr.isatty())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            Redactor(Redaction(kinds, secrets, region)),
            structlog.dev.ConsoleRenderer() if as_text else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(file=cast("TextIO", StandardError())),
        cache_logger_on_first_use=True,
    )
    _take_over_libraries()


class FromLibraries(logging.Handler):
    """Takes what libraries say that quote other programs' words: visible, short, redacted, so many lines.

    Args:
        most: lines in each minute; the rest is dropped, and that is said once.
        clock: seconds, monotonic.
    """

    def __init__(self, most: int = 60, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(logging.WARNING)
        self._most, self._clock = most, clock
        self._since, self._count = clock(), 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line of a library's, by our own way."""
        now = self._clock()
        if now - self._since >= _MINUTE:
            self._since, self._count = now, 0
        self._count += 1
        if self._count > self._most + 1:
            return
        log = structlog.get_logger("pratique")
        if self._count > self._most:
            log.warning("libraries say more than is logged", lines=self._most)
            return
        try:
            words = visible(record.getMessage()[:_LONGEST_WORDS])
        except Exception:  # noqa: BLE001  # a line that cannot be made changes nothing else
            words = "(a line that cannot be written)"
        log.log(record.levelno, "a library says", library=record.name, words=words)


@contextlib.contextmanager
def quoting_servers() -> Iterator[None]:
    """Take what libraries log in this block, and in the tasks that begin in it, from their own loggers.

    It is written by our own way (`FromLibraries`), even where the host has its own logging and
    `configure_logs` was never called: there a line would be the server's raw words, at any length. What the
    host itself does with the same libraries is logged as before.
    """
    for name, logger in list(logging.root.manager.loggerDict.items()):
        if isinstance(logger, logging.Logger) and name.partition(".")[0] in QUOTING:
            logger.addFilter(_TAKES)  # a second time changes nothing
    token = _ABROAD.set(True)
    try:
        yield
    finally:
        _ABROAD.reset(token)


class _Takes(logging.Filter):
    """Lets pass what the host's own work made these libraries say."""

    def __init__(self) -> None:
        super().__init__()
        self._handler = FromLibraries()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a line goes its own way; else it is written here, if it is a warning."""
        if not _ABROAD.get():
            return True
        if record.levelno >= self._handler.level:
            self._handler.handle(record)
        return False


_ABROAD: ContextVar[bool] = ContextVar("pratique_abroad", default=False)
_TAKES = _Takes()


def _take_over_libraries() -> None:
    """Have the loggers of the libraries that talk to other programs' servers write by our own way."""
    handler = FromLibraries()
    for name in QUOTING:
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(logging.WARNING)


class StandardError:
    """Where logs go: whatever standard error is at that moment. What cannot be written there is lost.

    A log line that fails must not change what becomes of a call: its reader may have gone, the disk that it
    goes to may be full. The log that matters is the ledger.
    """

    def write(self, text: str) -> None:
        """Write, if there is somewhere to write to."""
        with contextlib.suppress(OSError, ValueError, AttributeError):  # gone; closed; none (`pythonw`)
            sys.stderr.write(text)

    def flush(self) -> None:
        """Flush, if there is something to flush."""
        with contextlib.suppress(OSError, ValueError, AttributeError):
            sys.stderr.flush()
