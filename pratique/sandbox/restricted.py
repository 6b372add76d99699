"""The restricted level: RestrictedPython, always inside a jail's worker.

Rules:
- RestrictedPython is a policy on the language ("not a sandbox system", its own README). What holds hostile
  code is the jail around it; the policy gives better errors and one more wall.
- Code only: a program of the system knows nothing of the policy.
- Version 9 or newer: CVE-2023-37271, -41039, CVE-2024-47532, CVE-2025-22153, CVE-2026-55830 and -76825 are in
  older ones.
"""

from importlib import metadata

from pratique.errors import SandboxUnavailableError
from pratique.sandbox.backend import Emit, Grants, HostCall, Limits, Result, Spec, Work
from pratique.sandbox.jail import JailProvider, JailSandbox

_LEAST = 9


class RestrictedSandbox(JailSandbox):
    """One worker, for one run of restricted code."""

    async def run(
        self,
        work: Work,
        *,
        limits: Limits,
        grants: Grants,
        stdin: bytes = b"",
        emit: Emit | None = None,
        call: HostCall | None = None,
    ) -> Result:
        """Run one work; see `backend.Sandbox.run`."""
        if work.code is None:
            raise SandboxUnavailableError(
                "the restricted level runs Python code only; a program needs `jail`"
            )
        return await super().run(work, limits=limits, grants=grants, stdin=stdin, emit=emit, call=call)


class RestrictedProvider(JailProvider):
    """Jails whose workers run RestrictedPython. The arguments are those of `JailProvider`.

    Raises:
        SandboxUnavailableError: RestrictedPython is missing or too old.
    """

    sandbox_class = RestrictedSandbox

    def __init__(
        self,
        *,
        warm: int = 2,
        most: int = 4,
        python: str | None = None,
        bubblewrap: str | None = None,
    ) -> None:
        super().__init__(warm=warm, most=most, python=python, bubblewrap=bubblewrap, restricted=True)

    async def acquire(self, spec: Spec) -> JailSandbox:
        """Give a fresh jail with RestrictedPython; see `backend.Provider.acquire`."""
        demand_version()
        return await super().acquire(spec)


def demand_version() -> str:
    """Return the installed version of RestrictedPython.

    Raises:
        SandboxUnavailableError: it is missing, or older than the first that stands.
    """
    try:
        version = metadata.version("RestrictedPython")
    except metadata.PackageNotFoundError:
        raise SandboxUnavailableError(
            "RestrictedPython is not installed: install pratique[sandbox]"
        ) from None
    if int(version.split(".")[0]) < _LEAST:
        raise SandboxUnavailableError(
            f"RestrictedPython {version} has known holes: install {_LEAST} or newer"
        )
    return version
