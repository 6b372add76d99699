"""Builds the image that the level `container` runs in.

Rules:
- From `sandbox/Dockerfile`, with the guest's files put beside it; the base is an argument.
- The result is told by its digest, which is what runs from then on.
"""

import io
import tarfile
from importlib import metadata
from pathlib import Path
from typing import Any

from pratique.errors import SandboxUnavailableError
from pratique.sandbox.engine import Engine

DEFAULT_TAG = f"pratique-sandbox:{metadata.version('pratique')}"
_GUEST = Path(__file__).parent / "guest"
_PLACES = (Path(__file__).parents[2] / "sandbox" / "Dockerfile", Path("sandbox/Dockerfile"))


async def build(engine: Engine, *, base: str, tag: str = DEFAULT_TAG, dockerfile: Path | None = None) -> str:
    """Build the image and return its digest.

    Args:
        engine: where.
        base: the image to stand on; it must have python3.
        tag: the name that the result gets.
        dockerfile: another file than ours.

    Raises:
        SandboxUnavailableError: the file is not there, or the engine refuses.
    """
    context = _context(dockerfile or find_dockerfile())
    arguments = {"BASE": base} if base else {}

    def make(client: Any) -> str:
        image, _ = client.images.build(
            fileobj=io.BytesIO(context),
            custom_context=True,
            tag=tag,
            buildargs=arguments,
            network_mode="none",  # nothing is fetched: the base brings what is needed
            rm=True,
            forcerm=True,
        )
        return str(image.id)

    return await engine.call(make)


def find_dockerfile() -> Path:
    """Return the Dockerfile of this source tree.

    Raises:
        SandboxUnavailableError: it is not where it should be.
    """
    for path in _PLACES:
        if path.is_file():
            return path
    raise SandboxUnavailableError("sandbox/Dockerfile is not here: name it with --file")


def _context(dockerfile: Path) -> bytes:
    """Pack the Dockerfile and the guest's files, the same bytes each time."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        _add(tar, "Dockerfile", dockerfile.read_bytes())
        for path in sorted(_GUEST.glob("*.py")):
            _add(tar, f"guest/{path.name}", path.read_bytes())
    return data.getvalue()


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    entry.mode = 0o644
    tar.addfile(entry, io.BytesIO(data))
