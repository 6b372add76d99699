"""The places that the suite runs in, one word each, and how a sandbox of each is had."""

# The engine's programs are found on PATH, as the one who runs the tests has them.
# ruff: noqa: S607

import fcntl
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pratique.model import Level
from pratique.sandbox.backend import Emit, Grants, Guarantee, HostCall, Limits, Result, Sandbox, Spec, Work
from pratique.sandbox.container import ContainerProvider, promises
from pratique.sandbox.jail import JailProvider
from pratique.sandbox.restricted import RestrictedProvider
from tests.servers.machine import demand

PLACES = ("restricted", "landlock", "jail", "container")
_BASE = Path("/var/tmp/pratique-test-venv-base.tar")  # noqa: S108  # kept between runs: making it takes a minute
_LOCK = Path("/tmp/pratique-test-base.lock")  # noqa: S108  # several test processes make it one after the other
_IMPORTED = "pratique-test-base:bookworm"
_PACKAGES = "python3,python3-venv,ca-certificates"  # what the Dockerfile wants of its base


@dataclass
class Place:
    """One place of the suite, with the sandboxes it gives."""

    name: str
    acquire: Callable[[Spec], Awaitable[Sandbox]]
    level: Level
    guarantees: frozenset[Guarantee] = field(default_factory=frozenset)

    def spec(self, limits: Limits | None = None, *, network: bool = False) -> Spec:
        """What to ask for here."""
        return Spec(level=self.level, minimum=self.level, network=network, limits=limits or Limits())

    @asynccontextmanager
    async def sandbox(self, limits: Limits | None = None, *, network: bool = False) -> AsyncIterator[Sandbox]:
        """A fresh sandbox, gone afterwards."""
        sandbox = await self.acquire(self.spec(limits, network=network))
        try:
            yield sandbox
        finally:
            await sandbox.aclose()

    async def run(
        self,
        work: Work,
        *,
        limits: Limits | None = None,
        grants: Grants | None = None,
        stdin: bytes = b"",
        emit: Emit | None = None,
        call: HostCall | None = None,
    ) -> Result:
        """Run one work in a fresh sandbox."""
        chosen = limits or Limits()
        # What is fixed at the start of a worker makes a pool of its own, so only these make a difference.
        fixed = Limits(disk=chosen.disk)
        if self.name == "container":
            fixed = Limits(disk=chosen.disk, memory=chosen.memory, pids=chosen.pids)
        given = grants or Grants()
        async with self.sandbox(fixed, network=bool(given.hosts)) as sandbox:
            return await sandbox.run(work, limits=chosen, grants=given, stdin=stdin, emit=emit, call=call)

    async def code(self, code: str, **options: object) -> Result:
        """Run Python code."""
        return await self.run(Work(code=code), **options)  # type: ignore[arg-type]  # passed on as they are


def jail_place(provider: JailProvider) -> Place:
    return Place("jail", provider.acquire, Level.JAIL, provider.promises(namespaces=True))


def restricted_place(provider: RestrictedProvider) -> Place:
    return Place("restricted", provider.acquire, Level.RESTRICTED, provider.promises(namespaces=True))


def landlock_place(provider: JailProvider) -> Place:
    promises = provider.promises(namespaces=False)
    return Place("landlock", provider.acquire_without_namespaces, Level.INLINE, promises)


def container_place(provider: ContainerProvider) -> Place:
    promised = promises(gvisor=False)
    return Place("container", provider.acquire, Level.CONTAINER, promised)


class Dockerd:
    """A container engine of the test's own, stopped with it.

    Args:
        runtimes: what its daemon.json says under `runtimes`.
    """

    def __init__(self, runtimes: dict[str, Any] | None = None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="pratique-engine-"))
        self.host = f"unix://{self.folder}/docker.sock"
        (self.folder / "daemon.json").write_text(json.dumps({"runtimes": runtimes or {}}))
        log = (self.folder / "log").open("wb")
        self._process = subprocess.Popen(
            [
                *("dockerd", "--data-root", f"{self.folder}/data", "--exec-root", f"{self.folder}/exec"),
                *("-H", self.host, "--pidfile", f"{self.folder}/pid", "--bridge=none"),
                *("--iptables=false", "--ip6tables=false", "--config-file", f"{self.folder}/daemon.json"),
            ],
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
        )
        log.close()

    def wait(self) -> str:
        """Wait until it answers; return why not, or nothing."""
        for _ in range(200):
            if self._process.poll() is not None:
                break
            if self.docker("version").returncode == 0:
                return ""
            time.sleep(0.1)
        lines = (self.folder / "log").read_text(errors="replace").splitlines()
        return f"dockerd does not start here: {lines[-1] if lines else 'it says nothing'}"

    def docker(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(["docker", "-H", self.host, *arguments], capture_output=True, check=False)

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def import_base(engine: Dockerd) -> str:
    """Give the engine a base image without a registry; return why not, or nothing."""
    with _LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        why = "" if _BASE.exists() else _make_base()
    if why:
        return why
    done = engine.docker("import", str(_BASE), _IMPORTED)
    return "" if done.returncode == 0 else done.stderr.decode(errors="replace").strip()


def _make_base() -> str:
    """Make the base image's files from the distribution's packages; return why not, or nothing."""
    root = tempfile.mkdtemp(prefix="pratique-rootfs-")
    try:
        debootstrap = demand("debootstrap", "debootstrap")
        command = [debootstrap, "--variant=minbase", f"--include={_PACKAGES}", "bookworm", root]
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode:
            return f"debootstrap: {done.stdout.decode(errors='replace').strip()[-200:]}"
        draft = _BASE.with_suffix(f".{os.getpid()}")
        subprocess.run(["tar", "-C", root, "-cf", str(draft), "."], check=True)
        draft.rename(_BASE)
        return ""
    finally:
        shutil.rmtree(root, ignore_errors=True)


def base_image() -> str:
    return _IMPORTED
