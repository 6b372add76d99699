"""Roundup on loopback: a tracker of the template `classic`, of its own, with some users."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import httpx2

from tests.servers.machine import end, free_port, greets, lacking, until

PASSWORD = "correct-horse-battery-staple"
ACCOUNT = "agent"
PEOPLE = ("kim", "ana")

# The account of the agent sees people's addresses, so that what it writes is written in their name.
RIGHTS = """
db.security.addRole(name='Agent', description='writes in the name of others')
addresses = db.security.addPermission(name='View', klass='user', properties=('address',))
db.security.addPermissionToRole('Agent', addresses)
db.security.addPermissionToRole('Agent', 'Search', 'user')
"""
SETTINGS = {
    ("tracker", "web"): "http://127.0.0.1:{port}/tracker/",
    ("main", "password_pbkdf2_default_rounds"): "1000",  # each request of a test would take half a second
    ("mail", "domain"): "acme.example",
    ("mail", "host"): "localhost",
    ("mail", "debug"): "{folder}/mail",  # mail goes into a file
}


class Roundup:
    """A running tracker. Everybody's password is `PASSWORD`."""

    def __init__(self) -> None:
        if find_spec("roundup") is None:
            lacking("roundup is missing: install the group `test`")
        self._folder = Path(tempfile.mkdtemp(prefix="pratique-roundup-"))
        self._home = self._folder / "tracker"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/tracker/"
        self._make()
        self.start()

    def start(self) -> None:
        """Start it, on the same port as before."""
        # Roundup does not serve as root.
        drop = ["-u", "nobody", "-g", "nogroup"] if os.geteuid() == 0 else []
        where = ["-n", "127.0.0.1", "-p", str(self.port), f"tracker={self._home}"]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [_program("roundup-server"), *drop, *where],
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            )
        until(lambda: greets(self.port), "Roundup's start")

    def kill(self) -> None:
        """Kill it, and whoever answers a request for it."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(10)

    def stop(self) -> None:
        """Stop it and remove its folder."""
        end(self._process)
        shutil.rmtree(self._folder, ignore_errors=True)

    def client(self, person: str = "ana") -> httpx2.Client:
        """Return a client of its REST interface, as a person."""
        return httpx2.Client(
            base_url=f"{self.url}rest/data/",
            auth=(person, PASSWORD),
            headers={"X-Requested-With": "rest", "Origin": f"http://127.0.0.1:{self.port}"},
            timeout=60,
            trust_env=False,
        )

    def issue(self, title: str, *texts: str, person: str = "ana", **facts: str) -> str:
        """Make an issue with messages, and return its id."""
        with self.client(person) as client:
            messages = [_id(client.post("msg", json={"content": text, "author": person})) for text in texts]
            linked = {"messages": messages} if messages else {}
            return _id(client.post("issue", json={"title": title, **linked, **facts}))

    def attach(self, issue: str, name: str, kind: str, content: bytes) -> str:
        """Put a file to an issue, and return its id."""
        with self.client() as client:
            file = _id(
                client.post("file", files={"content": (name, content)}, data={"name": name, "type": kind})
            )
            item = client.get(f"issue/{issue}").json()["data"]
            files = [*(one["id"] for one in item["attributes"]["files"]), file]
            changed = client.patch(
                f"issue/{issue}", json={"files": files}, headers={"If-Match": item["@etag"]}
            )
            assert changed.status_code == httpx2.codes.OK, changed.text
            return file

    def administer(self, *commands: str) -> list[str]:
        """Run commands of roundup-admin in one process, faster than by REST; return the ids they say."""
        said = self._admin(given="\n".join([*commands, "commit", "exit"]) + "\n")
        return re.findall(r"(?m)^roundup> (\d+)$", said)

    def _make(self) -> None:
        self._admin("install", "classic", "sqlite")
        with (self._home / "schema.py").open("a") as schema:
            schema.write(RIGHTS)
        self._set()
        self._admin("initialise", PASSWORD)
        self.administer(
            *(
                f"create user username={name} address={name}@acme.example password={PASSWORD} "
                f"roles={'User,Agent' if name == ACCOUNT else 'User'}"
                for name in (*PEOPLE, ACCOUNT)
            )
        )
        if os.geteuid() == 0:
            for path in (self._folder, *self._folder.rglob("*")):
                shutil.chown(path, "nobody", "nogroup")

    def _set(self) -> None:
        """Put the settings into the file that Roundup made, in which most are comments."""
        file, section, lines = self._home / "config.ini", "", []
        for line in file.read_text().splitlines():
            if header := re.fullmatch(r"\[(\w+)\]", line):
                section = header[1]
            value = SETTINGS.get((section, line.split("=")[0].strip("# "))) if "=" in line else None
            name = line.split("=")[0].strip("# ")
            lines.append(f"{name} = {value.format(port=self.port, folder=self._folder)}" if value else line)
        file.write_text("\n".join(lines) + "\n")

    def _admin(self, *words: str, given: str = "") -> str:
        done = subprocess.run(
            [_program("roundup-admin"), "-i", str(self._home), *words],
            check=False,
            capture_output=True,
            input=given,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def _program(name: str) -> str:
    return str(Path(sys.executable).parent / name)


def _id(answer: httpx2.Response) -> str:
    assert answer.status_code == httpx2.codes.CREATED, answer.text
    return str(answer.json()["data"]["id"])
