"""A container engine, spoken to through the `docker` library, with its errors told once and in our words.

Rules:
- The library is imported here only, and only when the level is used: it is an extra.
- Its calls wait, so each runs in a thread; none is made on the event loop.
- Whatever the engine or the way to it does, comes out as SandboxUnavailableError with its reason.
"""

import asyncio
import os
from collections.abc import Callable
from typing import Any, TypeVar

from pratique.errors import SandboxUnavailableError
from pratique.sandbox import mark

LABEL = "pratique.owner"
_TIMEOUT = 60
_USUAL = "unix:///var/run/docker.sock"
_DEEPEST = 50
GVISOR = "runsc"

T = TypeVar("T")


class Engine:
    """One engine.

    Args:
        host: where it listens (`unix:///var/run/docker.sock`), or None for what the environment says.
    """

    def __init__(self, host: str | None = None) -> None:
        self._host = host
        self._client: Any = None

    async def call(self, work: Callable[[Any], T]) -> T:
        """Do something with the library's client, in a thread.

        Raises:
            SandboxUnavailableError: the library or the engine is not there, or refuses.
        """
        return await asyncio.to_thread(self._guarded, work)

    async def about(self) -> dict[str, Any]:
        """What the engine says of itself."""
        found: dict[str, Any] = await self.call(lambda client: client.info())
        return found

    async def runtime(self) -> str | None:
        """The runtime with a kernel of its own (gVisor), when the engine offers it."""
        return GVISOR if GVISOR in (await self.about()).get("Runtimes", {}) else None

    async def image_id(self, name: str) -> str:
        """The digest of an image; what is started from it is that image, wherever the name moves.

        Raises:
            SandboxUnavailableError: there is none of that name.
        """
        found = await self.call(lambda client: _image_id(client, name))
        if not found:
            raise SandboxUnavailableError(
                f"the image {name} is not there: `pratique sandbox image` builds it"
            )
        return found

    async def reap(self) -> list[str]:
        """Remove containers whose Pratique is dead; return a line for each."""
        return await self.call(_reap)

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await asyncio.to_thread(self._client.close)
            self._client = None

    def _guarded(self, work: Callable[[Any], T]) -> T:
        docker, requests = _libraries()
        try:
            if self._client is None:
                self._client = (
                    docker.DockerClient(base_url=self._host, timeout=_TIMEOUT)
                    if self._host
                    else docker.from_env(timeout=_TIMEOUT)
                )
            return work(self._client)
        except (docker.errors.DockerException, requests.exceptions.RequestException, OSError) as error:
            why = _on_the_way(error)
            if why:
                where = self._host or os.environ.get("DOCKER_HOST") or _USUAL
                raise SandboxUnavailableError(
                    f"the container engine is out of reach: {where}: {why}"
                ) from error
            raise SandboxUnavailableError(f"the container engine refuses: {_words(error)}") from error


def remove(client: Any, container: str) -> None:
    """Remove a container with all that runs in it; one that is gone already is no error."""
    docker, _ = _libraries()
    try:
        client.api.remove_container(container, force=True, v=True)
    except docker.errors.NotFound:
        return
    except docker.errors.APIError as error:
        if error.response is None or error.response.status_code != 409:  # noqa: PLR2004  # HTTP: being removed
            raise


def _reap(client: Any) -> list[str]:
    told = []
    for container in client.containers.list(all=True, filters={"label": LABEL}):
        if mark.is_orphan(container.labels.get(LABEL, "")):
            remove(client, container.id)
            told.append(f"removed the container {container.name} of a run that is dead")
    return told


def _image_id(client: Any, name: str) -> str:
    docker, _ = _libraries()
    try:
        return str(client.images.get(name).id)
    except docker.errors.ImageNotFound:
        return ""


def _libraries() -> tuple[Any, Any]:
    try:
        import docker  # noqa: PLC0415  # an extra, see above
        import requests  # noqa: PLC0415  # docker's own
    except ImportError as error:
        raise SandboxUnavailableError(f"{error.name} is not installed: install pratique[sandbox]") from error
    return docker, requests


def _on_the_way(error: BaseException) -> str:
    """Return what the system said when the way to the engine failed, however deep it lies; or nothing."""
    waiting: list[object] = [error]
    for found in waiting:
        if isinstance(found, OSError) and found.errno and found.strerror:
            return found.strerror
        if isinstance(found, BaseException) and len(waiting) < _DEEPEST:
            waiting += [*found.args, found.__cause__, found.__context__]
    docker, requests = _libraries()
    is_answer = isinstance(error, docker.errors.APIError)
    lost = isinstance(error, requests.exceptions.ConnectionError | requests.exceptions.Timeout)
    return _words(error) if lost and not is_answer else ""


def _words(error: BaseException) -> str:
    """The first line of an error's text, which may be pages long."""
    text = str(getattr(error, "explanation", None) or error).strip()
    return text.splitlines()[0][:300] if text else type(error).__name__
