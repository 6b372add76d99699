"""What a tool gets to work with: handles for exactly what it declared, and nothing else.

Rules:
- A file root is opened with openat2 (`pratique.sandbox.beneath.Root`): no path leads out of it. A root that
  was declared for reading has no way to write.
- A secret is handed out by name. An HTTP client reaches declared hosts only (`pratique.tools.hosts`), and
  follows no redirect.
- Code that the tool was handed runs in a sandbox (`pratique.tools.sandboxed`), if the tool declared a level.
- What was not declared raises `UndeclaredError`, which fails the call.
- Handles are made when they are first used and closed when the call ends.
"""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx2
from pydantic import SecretStr

from pratique.errors import ToolError, UndeclaredError
from pratique.model import Call, Capability
from pratique.sandbox.beneath import Entry, Root
from pratique.tools.hosts import DeclaredHosts, Network
from pratique.tools.sandboxed import Sandboxed


class Files:
    """A file root as a tool sees it.

    Args:
        root: the folder, held open.
        writable: whether the tool declared `write`.
        name: what declarations call it.
    """

    def __init__(self, root: Root, name: str, *, writable: bool) -> None:
        self._root, self._name, self._writable = root, name, writable

    def list(self, path: str = ".") -> list[Entry]:
        """Return what is in a folder beneath the root, by name."""
        return self._root.list(path)

    def read(self, path: str, limit: int = 16 * 1024 * 1024) -> bytes:
        """Return a regular file's bytes; at most `limit` of them, or OSError with EFBIG."""
        return self._root.read(path, limit)

    def head(self, path: str, length: int) -> bytes:
        """Return the first `length` bytes of a regular file, or all of a shorter one."""
        return self._root.head(path, length)

    def write(self, path: str, data: bytes, *, replace: bool = True) -> None:
        """Write a file in one step, through a new name.

        Raises:
            UndeclaredError: the root was declared for reading.
            FileExistsError: the name is taken and `replace` is false.
        """
        self._demand_write()
        self._root.write(path, data, mode=0o600, replace=replace)

    def remove(self, path: str) -> None:
        """Remove a file.

        Raises:
            UndeclaredError: the root was declared for reading.
        """
        self._demand_write()
        self._root.remove(path)

    def _demand_write(self) -> None:
        if not self._writable:
            raise UndeclaredError(f"the root {self._name!r} is for reading only here")


async def _only_look(request: httpx2.Request) -> None:
    """Refuse what could change something, before it leaves."""
    if request.method not in {"GET", "HEAD"}:
        raise UndeclaredError(f"a preview only looks: {request.method} is not sent")


class World:
    """What the host can give to tools, by name. Settings fill it; a tool never sees it whole.

    Args:
        roots: name → folder.
        secrets: name → value.
        network: how names are resolved, and which certificates are believed.
    """

    def __init__(
        self,
        roots: Mapping[str, Path] | None = None,
        secrets: Mapping[str, SecretStr] | None = None,
        network: Network | None = None,
    ) -> None:
        self.roots = dict(roots or {})
        self.secrets = dict(secrets or {})
        self.network = network or Network()

    def lacks(self, capability: Capability) -> list[str]:
        """Return what the capability declares and this host does not have, in words."""
        lacking = [f"no file root is called {name!r}" for name in capability.paths if name not in self.roots]
        return lacking + [
            f"no secret is called {name!r}" for name in capability.secrets if name not in self.secrets
        ]


class ToolContext:
    """One call's handles. The first parameter of every tool, and of its preview.

    A preview's handles only look (`looking`): files cannot be written, and HTTP sends GET and HEAD alone.

    Attributes:
        call_id: the same for a repeated call; a tool that takes an idempotency key passes it on.
        agent: who asks.
        user: for whom.
        session: in which run.
    """

    def __init__(
        self, call: Call, world: World, sandbox: Sandboxed | None = None, *, looking: bool = False
    ) -> None:
        self._looking = looking
        subject = call.request.subject
        self.call_id = call.request.call_id
        self.session = subject.session
        self.agent = subject.agent
        self.user = subject.user
        self._capability = call.capability
        self._world = world
        self._sandbox = sandbox
        self._closing: AsyncExitStack | None = None
        self._files: dict[str, Files] = {}
        self._http: httpx2.AsyncClient | None = None

    def files(self, name: str) -> Files:
        """Return the handle of a declared file root.

        Raises:
            UndeclaredError: the tool did not declare it.
            ToolError: the folder cannot be opened.
        """
        if name not in self._capability.paths:
            raise UndeclaredError(f"{self._capability.name} did not declare the file root {name!r}")
        if name not in self._files:
            try:
                root = Root(self._world.roots[name])
            except OSError as problem:
                raise ToolError(f"the file root {name!r} cannot be opened: {problem.strerror}") from None
            self._at_end.callback(root.close)
            writable = self._capability.paths[name] == "write" and not self._looking
            self._files[name] = Files(root, name, writable=writable)
        return self._files[name]

    def secret(self, name: str) -> str:
        """Return the value of a declared secret.

        Raises:
            UndeclaredError: the tool did not declare it.
        """
        if name not in self._capability.secrets:
            raise UndeclaredError(f"{self._capability.name} did not declare the secret {name!r}")
        return self._world.secrets[name].get_secret_value()

    @property
    def http(self) -> httpx2.AsyncClient:
        """Return an HTTP client that reaches the declared hosts and no other.

        Raises:
            UndeclaredError: the tool declared no host.
        """
        if not self._capability.hosts:
            raise UndeclaredError(f"{self._capability.name} declared no host")
        if self._http is None:
            self._http = httpx2.AsyncClient(
                event_hooks={"request": [_only_look]} if self._looking else {},
                transport=DeclaredHosts(self._capability, self._world.network),
                headers={"accept-encoding": "gzip, deflate", "user-agent": "pratique"},
                timeout=self._capability.timeout,
                follow_redirects=False,
                trust_env=False,
            )
            self._at_end.push_async_callback(self._http.aclose)
        return self._http

    @property
    def sandbox(self) -> Sandboxed:
        """Return where code runs that this tool was handed.

        Raises:
            UndeclaredError: the tool declared no level.
        """
        if self._sandbox is None:
            raise UndeclaredError(f'{self._capability.name} declared no level: say runs_in="jail"')
        return self._sandbox

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._closing is not None:
            await self._closing.aclose()

    @property
    def _at_end(self) -> AsyncExitStack:
        """What has to be closed; most calls open nothing."""
        if self._closing is None:
            self._closing = AsyncExitStack()
        return self._closing
