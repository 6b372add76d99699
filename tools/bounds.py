"""Run each framework's contract at an end of its extra's version bounds, in an environment of its own.

    .venv/bin/python tools/bounds.py              # the lowest; `make check` does this
    .venv/bin/python tools/bounds.py newest       # the newest that can be installed
    .venv/bin/python tools/bounds.py lowest mcp   # of one extra

`uv` resolves: the lowest of every direct dependency, ours and the extra's, or the newest of all. An end that
this environment has already is not run again: its tests run here. The environments are in `.venv/bounds`, and
are used again as long as the resolution is the same.
"""

import hashlib
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
UV = Path(sys.executable).parent / "uv"
MADE = Path(sys.prefix) / "bounds"
EXTRAS = {
    "langchain": "langchain",
    "pydantic-ai": "pydantic-ai",
    "openai-agents": "openai-agents",
    "mcp": "mcp-",
}
"""Extra → the rigs of `tests/adapters` that need no other (`pytest -k`)."""

TESTED_WITH = ("pytest", "pytest-asyncio", "pytest-timeout", "pytest-xdist")
RESOLUTIONS = {"lowest": "lowest-direct", "newest": "highest"}


class End(NamedTuple):
    """One end of an extra's bounds: the pins of everything in it, and the versions of what it is about."""

    extra: str
    pins: str
    versions: dict[str, str]

    @property
    def told(self) -> str:
        """Return it in words."""
        return f"{self.extra}: " + ", ".join(f"{name} {number}" for name, number in self.versions.items())

    @property
    def is_here(self) -> bool:
        """Whether this environment has just these versions."""
        return all(_here(name) == number for name, number in self.versions.items())


def main(arguments: list[str]) -> int:
    """Run one end of the named extras, or of all; return how many failed."""
    end = next((one for one in arguments if one in RESOLUTIONS), "lowest")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    failed = 0
    for extra in [one for one in arguments if one in EXTRAS] or list(EXTRAS):
        found = resolved(extra, end, project)
        print(f"{end} {found.told}", flush=True)  # noqa: T201  # what it is for
        if found.is_here:
            print("  this environment has it: its tests run here", flush=True)  # noqa: T201  # as above
        elif subprocess.run(command(found), cwd=ROOT, check=False).returncode:  # noqa: S603  # our own
            failed += 1
    return failed


def resolved(extra: str, end: str, project: dict[str, dict[str, dict[str, list[str]]]]) -> End:
    """Return what `uv` resolves one end of an extra to."""
    with_them = [one for one in project["dependency-groups"]["test"] if _name(one) in TESTED_WITH]
    pins = _uv(
        *("pip", "compile", "--quiet", "--no-header", "--no-annotate", "--python", sys.executable),
        *("--resolution", RESOLUTIONS[end], "--extra", extra, "pyproject.toml", "-"),
        given="\n".join(with_them),
    )
    pinned = dict(line.split("==") for line in pins.splitlines() if "==" in line)
    names = [_name(one) for one in project["project"]["optional-dependencies"][extra]]
    return End(extra, pins, {name: pinned[name] for name in names})


def command(end: End) -> list[str]:
    """Make the environment; return what runs the contract in it."""
    place = MADE / f"{end.extra}-{hashlib.sha256(end.pins.encode()).hexdigest()[:12]}"
    python = str(place / "bin" / "python")
    if not (place / "made").exists():
        _uv("venv", "--quiet", "--clear", "--python", sys.executable, str(place))
        _uv("pip", "install", "--quiet", "--python", python, "--requirements", "-", given=end.pins)
        _uv("pip", "install", "--quiet", "--python", python, "--no-deps", "--editable", ".")
        (place / "made").touch()
    tests = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/adapters/test_contract.py"]
    return [python, *tests, "-k", EXTRAS[end.extra]]


def _uv(*arguments: str, given: str = "") -> str:
    ran = subprocess.run(  # noqa: S603  # our own
        [UV, *arguments], cwd=ROOT, input=given, capture_output=True, text=True, check=False
    )
    if ran.returncode:
        raise SystemExit(f"uv {' '.join(arguments[:2])}: {ran.stderr.strip()}")
    return ran.stdout


def _name(requirement: str) -> str:
    return requirement.partition(">=")[0].partition("[")[0].strip()


def _here(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
