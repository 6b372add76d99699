"""A server in a jail talks as anywhere, sees what was lent, reaches what was granted, and leaves nothing."""

import json
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from pratique.errors import ProxiedServerError
from pratique.model import Level
from pratique.sandbox.service import LIMITS, Program
from tests.proxy.conftest import BOUNDS, Connect
from tests.proxy.test_hostile import call
from tests.servers.machine import as_root

pytestmark = pytest.mark.usefixtures("a_jail")


def jailed_processes(word: str) -> list[int]:
    """Return the processes that have a word on their command line."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                command = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            if word.encode() in command:
                found.append(int(folder.name))
    return found


@pytest.fixture
def greeter() -> Iterator[int]:
    """A web server on this machine; gives its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"greetings")

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()


async def test_it_is_called_like_any_other(connect: Connect) -> None:
    assert await call(connect("", level=Level.JAIL)) == "hello"


async def test_a_restricted_level_is_a_jail_here(connect: Connect) -> None:
    assert await call(connect("", level=Level.RESTRICTED)) == "hello"


async def test_its_environment_is_what_was_declared_and_on_no_command_line(connect: Connect) -> None:
    server = connect("environment,in-the-jail", level=Level.JAIL, secrets={"TOKEN": "a-secret-of-the-jail"})
    environment = json.loads(await call(server))
    assert environment["TOKEN"] == "a-secret-of-the-jail"
    environment.pop("LC_CTYPE", None)
    assert set(environment) == {"PATH", "LANG", "TMPDIR", "HOME", "PWD", "PYTHONDONTWRITEBYTECODE", "TOKEN"}
    assert jailed_processes("in-the-jail") != []
    assert jailed_processes("a-secret-of-the-jail") == []


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may enter; pytest's own only we may."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


async def test_it_reads_what_was_lent_and_nothing_else(connect: Connect, open_folder: Path) -> None:
    lent, kept = open_folder / "lent", open_folder / "kept"
    lent.write_text("for reading")
    kept.write_text("not theirs")
    server = connect("read", level=Level.JAIL, paths=(str(lent),))
    paths = [str(lent), str(kept), "/etc/shadow", "/etc/passwd"]
    found = json.loads(await call(server, paths=paths))
    assert found == {
        str(lent): "for reading",
        str(kept): "FileNotFoundError",
        "/etc/shadow": "FileNotFoundError",
        "/etc/passwd": "FileNotFoundError",
    }


async def test_it_reaches_nothing(connect: Connect, greeter: int) -> None:
    said = await call(connect("connect", level=Level.JAIL), url=f"http://127.0.0.1:{greeter}/")
    assert said.startswith("URLError")


async def test_it_reaches_what_was_granted_and_nothing_else(connect: Connect, greeter: int) -> None:
    pair = f"127.0.0.1:{greeter}"
    server = connect("connect", level=Level.JAIL, hosts=(pair,), private_hosts=(pair,))
    assert await call(server, url=f"http://{pair}/") == "greetings"
    assert "403" in await call(server, url="http://127.0.0.1:1/")
    unlisted = connect("connect", level=Level.JAIL, hosts=(pair,))
    assert "403" in await call(unlisted, url=f"http://{pair}/")


@pytest.mark.parametrize("what", ["ignore,stay,leaves-nothing", "daemon,leaves-nothing"])
async def test_nothing_of_it_is_left(connect: Connect, what: str) -> None:
    server = connect(what, level=Level.JAIL)
    await call(server)
    assert jailed_processes(what) != []
    await server.aclose()
    assert jailed_processes(what) == []


async def test_one_that_needs_too_much_memory_is_ended(connect: Connect) -> None:
    small = LIMITS.model_copy(update={"memory": 64 << 20})
    server = connect("eat", level=Level.JAIL, limits=small, bounds=BOUNDS)
    with pytest.raises(Exception, match="its standard output ended"):
        await call(server, timeout=20)


async def test_a_container_is_refused_and_nothing_weaker_given(connect: Connect) -> None:
    with pytest.raises(ProxiedServerError, match="level container is demanded"):
        await connect("", level=Level.CONTAINER).definitions()


async def test_a_program_that_is_not_seen_inside_is_an_error(connect: Connect, tmp_path: Path) -> None:
    program = tmp_path / "server"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    with pytest.raises(
        ProxiedServerError, match="cannot be seen from inside of the jail: declare its folder"
    ):
        await connect("", level=Level.JAIL, command=(str(program),)).definitions()
    with pytest.raises(ProxiedServerError, match="there is no program 'no-such'"):
        await connect("", level=Level.JAIL, command=("no-such",)).definitions()


async def test_a_file_that_is_not_there_cannot_be_lent(connect: Connect, tmp_path: Path) -> None:
    with pytest.raises(ProxiedServerError, match=r"there is no .*/none to lend"):
        await connect("", level=Level.JAIL, paths=(str(tmp_path / "none"),)).definitions()


async def test_what_only_root_reads_cannot_be_lent(connect: Connect, open_folder: Path) -> None:
    as_root()
    (open_folder / "ours").write_text("ours")
    (open_folder / "ours").chmod(0o600)
    with pytest.raises(ProxiedServerError, match="others may not read it"):
        await connect("", level=Level.JAIL, paths=(str(open_folder / "ours"),)).definitions()


@pytest.mark.parametrize(
    "path", ["/", "/proc", "/proc/1", "/dev/sda", "/sys/x", "/pratique", "relative", "/a/../b", "/a/"]
)
def test_what_is_the_jails_own_cannot_be_lent(path: str) -> None:
    with pytest.raises(ValueError, match=r"cannot be lent|plain absolute path"):
        Program(argv=("true",), lent=(path,))
