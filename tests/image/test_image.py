"""Promise: the image serves from nothing, as a user of its own, keeps its ledger, and ends in order."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.sandbox.places import Dockerd
from tests.servers.machine import until

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("engine"), pytest.mark.timeout(900)]

_LOOK = """
import sys, urllib.request as u
for path in sys.argv[1:]:
    with u.urlopen("http://127.0.0.1:8440" + path, timeout=10) as answer:
        print(answer.status, answer.url, answer.read().decode())
"""


class Container:
    """A container of the image that runs with nothing but its volume; its network is its own loopback."""

    def __init__(self, engine: Dockerd, name: str) -> None:
        self._engine, self.name = engine, name

    def inside(self, *command: str, code: int = 0) -> str:
        """Run a command in it and return what it printed."""
        done = self._engine.docker("exec", self.name, *command)
        assert done.returncode == code, done.stderr.decode()
        return done.stdout.decode()

    def page(self, path: str) -> str:
        return self.inside("python", "-c", _LOOK, path)

    def state(self) -> dict[str, object]:
        found = json.loads(self._engine.docker("inspect", self.name, "--format", "{{json .State}}").stdout)
        assert isinstance(found, dict)
        return found

    def is_healthy(self) -> bool:
        health = self.state()["Health"]
        assert isinstance(health, dict)
        return bool(health["Status"] == "healthy")

    def log(self) -> str:
        done = self._engine.docker("logs", self.name)
        return done.stdout.decode() + done.stderr.decode()

    def stop(self) -> object:
        """Send SIGTERM, as `docker stop` does, and return the exit code; it is killed after 30 seconds."""
        self._engine.docker("stop", "--time", "30", self.name)
        return self.state()["ExitCode"]


@contextmanager
def running(engine: Dockerd, image: str, volume: str, *more: str) -> Iterator[Container]:
    name = f"{volume}-run"
    strict = ("--network", "none", "--read-only", "--cap-drop", "ALL", "--health-interval", "1s")
    done = engine.docker(
        *("run", "--detach", "--name", name, *strict, *more), "--volume", f"{volume}:/var/lib/pratique", image
    )
    assert done.returncode == 0, done.stderr.decode()
    container = Container(engine, name)
    try:
        yield container
    finally:
        engine.docker("rm", "--force", name)


def test_it_serves_from_an_empty_volume_and_goes_on_there(image: str, image_engine: Dockerd) -> None:
    with running(image_engine, image, "house") as first:
        until(first.is_healthy, "the image's own health check", 60)
        assert first.inside("id", "-u").strip() == "10001"
        assert first.page("/healthz").split(maxsplit=2)[2].strip() == '{"status":"ok"}'
        assert "<h1" in first.page("/login")
        assert "ok" in first.inside("pratique", "policy", "check")  # the image's own, which allows nothing
        link = first.inside("pratique", "people", "add", "li@acme.example", "--role", "owner")
        found = re.search(r"http://127\.0\.0\.1:8440(/login/link/\S+)", link)
        assert found is not None, link
        assert first.page(found[1]).startswith("200")
        before = first.inside("pratique", "audit", "show", "1", "--json")
        assert first.stop() == 0, first.log()
    with running(image_engine, image, "house") as second:
        until(second.is_healthy, "the second start", 60)
        after = second.inside("pratique", "audit", "show", "1", "--json")
        assert after == before, "the second container has another ledger"
        assert "li@acme.example" in second.inside("pratique", "people", "list")
        assert "UNANCHORED" in second.inside("pratique", "audit", "verify", code=3)


def test_it_is_unhealthy_where_nothing_can_be_recorded(image: str, image_engine: Dockerd) -> None:
    with running(
        image_engine,
        image,
        "elsewhere",
        "--env",
        "HEALTHZ=http://127.0.0.1:1/healthz",
        "--health-retries",
        "1",
    ) as one:

        def is_unhealthy() -> bool:
            health = one.state()["Health"]
            assert isinstance(health, dict)
            return bool(health["Status"] == "unhealthy")

        until(is_unhealthy, "a health check that cannot reach its server", 60)


def test_the_demo_runs_in_it_to_the_standalone_verifier(image: str, image_engine: Dockerd) -> None:
    """The wheel is whole: what a checkout has beside it, the verifier and the example, is in it."""
    done = image_engine.docker(
        "run", "--rm", "--network", "none", image, "demo", "--answer", "approve", "--json"
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    assert (
        image_engine.docker(
            "run", "--rm", "--network", "none", "--entrypoint", "pratique-verify", image, "--help"
        ).returncode
        == 0
    )
