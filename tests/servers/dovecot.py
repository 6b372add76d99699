"""Dovecot on loopback, with a configuration, a certificate and mailboxes of its own."""

import imaplib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from tests.servers.authority import Authority
from tests.servers.machine import as_root, demand, end, free_port, greets, until

NOBODY = 65534
MEMORY = "/dev/shm"  # noqa: S108  # a folder of a random name is made in it
PASSWORD = "correct-horse-battery-staple"

CONFIGURATION = """
base_dir = {folder}/run
state_dir = {folder}/state
instance_name = pratique-{imap}
log_path = {folder}/log
listen = 127.0.0.1
protocols = imap
verbose_proctitle = yes
ssl = yes
ssl_cert = <{cert}
ssl_key = <{key}
auth_mechanisms = plain
auth_failure_delay = 0
first_valid_uid = 1000
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={user} gid={user} home={folder}/users/%u
}}
mail_location = maildir:~/Maildir
mail_max_userip_connections = 50
namespace inbox {{
  inbox = yes
  separator = /
}}
service imap-login {{
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
    ssl = yes
  }}
  chroot =
}}
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
"""


class Dovecot:
    """A running Dovecot. Every login name has a mailbox; the password is `PASSWORD`.

    Args:
        authority: who issues its certificate, for `localhost`.
    """

    def __init__(self, authority: Authority) -> None:
        as_root()
        self._program = demand("dovecot", "dovecot-imapd")
        # Not beneath pytest's folder, which only root can enter; Dovecot reads mail as nobody.
        # In memory where that can be had: a mailbox of thousands of files takes seconds elsewhere.
        memory = MEMORY if os.access(MEMORY, os.W_OK) else None
        self._folder = Path(tempfile.mkdtemp(prefix="pratique-dovecot-", dir=memory))
        self._folder.chmod(0o755)
        self.imap, self.imaps = free_port(), free_port()
        cert, key = authority.certificate("localhost")
        self._configuration = self._folder / "dovecot.conf"
        self._configuration.write_text(
            CONFIGURATION.format(
                folder=self._folder,
                cert=cert,
                key=key,
                user=NOBODY,
                password=PASSWORD,
                imap=self.imap,
                imaps=self.imaps,
            )
        )
        (self._folder / "users").mkdir()
        os.chown(self._folder / "users", NOBODY, NOBODY)
        self.start()

    def start(self) -> None:
        """Start it, on the same ports as before."""
        arguments = [self._program, "-F", "-c", str(self._configuration)]
        self._process = subprocess.Popen(arguments, start_new_session=True)
        until(lambda: greets(self.imap) and greets(self.imaps), f"Dovecot's start: {self.log}")

    def kill(self) -> None:
        """Kill it and all of its processes, without a word to anybody."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(10)
        (self._folder / "run" / "master.pid").unlink(missing_ok=True)

    def stop(self) -> None:
        """Stop it and remove its folder."""
        end(self._process)
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def log(self) -> str:
        """What it logged."""
        log = self._folder / "log"
        return log.read_text() if log.exists() else ""

    def deliver(self, user: str, *messages: bytes, folder: str = "") -> None:
        """Put messages into a user's mailbox, the last one newest."""
        place = self.folder(user, folder)
        now = time.time_ns()
        for number, message in enumerate(messages):
            name = place / "tmp" / f"{now // 10**9}.M{now % 10**9 + number:010}.tests"
            name.write_bytes(message)
            os.chown(name, NOBODY, NOBODY)
            name.rename(place / "new" / name.name)

    def remove(self, user: str, *subjects: str) -> None:
        """Remove messages as another mail program does."""
        with imaplib.IMAP4("127.0.0.1", self.imap) as other:
            other.login(user, PASSWORD)
            other.select()
            for subject in subjects:
                found = other.search(None, "SUBJECT", subject)[1][0]
                other.store(found.decode(), "+FLAGS", r"\Deleted")
            other.expunge()

    def append(self, user: str, message: bytes) -> None:
        """Put a message into a user's inbox as another mail program does: who idles is told at once."""
        with imaplib.IMAP4("127.0.0.1", self.imap) as other:
            other.login(user, PASSWORD)
            other.append("INBOX", "", None, message)

    def idles(self, user: str) -> bool:
        """Whether somebody waits for this user's mail; Dovecot names its processes by what they do."""
        return f"[{user} 127.0.0.1 IDLE]" in _processes()

    def folder(self, user: str, name: str = "") -> Path:
        """Return the Maildir of a folder, which is made if need be; the name is as it is on disk."""
        home = self._folder / "users" / user
        place = home / "Maildir" / (f".{name}" if name else "")
        for path in (home, home / "Maildir", place, *(place / part for part in ("cur", "new", "tmp"))):
            path.mkdir(mode=0o700, exist_ok=True)
            os.chown(path, NOBODY, NOBODY)
        return place


def _processes() -> str:
    """Return the command lines of all processes."""
    lines = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            lines.append(process.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
    return "\n".join(lines)
