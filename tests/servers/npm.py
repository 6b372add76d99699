"""Packages from npm, each version fetched once into a folder of its own."""

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.servers.machine import lacking


def installed(package: str, version: str, *others: str) -> Path:
    """Return the folder in whose `node_modules` the package is, with others (`NAME@VERSION`) beside it.

    Nobody but us writes there; everybody may read it, so that it can be lent to a jail.
    """
    if shutil.which("node") is None or shutil.which("npm") is None:
        lacking("node and npm are missing (Debian: apt-get install nodejs npm)")
    word = re.sub(r"\W+", "-", package).strip("-")
    folder = Path(tempfile.gettempdir()) / f"pratique-tests-{word}-{version}-{os.getuid()}"
    folder.mkdir(exist_ok=True, mode=0o755)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            options = ("--no-audit", "--no-fund", "--ignore-scripts")
            words = ["npm", "install", *options, f"{package}@{version}", *others]
            done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=110, check=False)
            if done.returncode != 0:
                lacking(f"{package} cannot be installed: {done.stderr[-300:]}")
            (folder / "complete").touch()
    return folder
