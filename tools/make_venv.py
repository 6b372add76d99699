"""Make a virtual environment with a current pip, on a machine where nothing is set up.

Debian and Ubuntu ship Python without `venv`'s pip. As root the missing package is installed; otherwise the
one command that is needed is named.
"""

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

OLDEST = (3, 11)
DEPENDENCY_GROUPS_SINCE = "25.1"


def main() -> None:
    """Make the environment that the first argument names."""
    folder = Path(sys.argv[1])
    if sys.version_info < OLDEST:
        sys.exit(
            f"Pratique needs Python 3.11 or newer; this is {sys.version.split()[0]}: make PYTHON=python3.12 …"
        )
    if not has_ensurepip():
        install_venv_package()
    venv.EnvBuilder(with_pip=True, clear=folder.exists()).create(folder)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--quiet", f"pip>={DEPENDENCY_GROUPS_SINCE}"], check=True)  # noqa: S603  # our own


def has_ensurepip() -> bool:
    """Return whether this Python can make an environment that has pip."""
    return (
        subprocess.run(
            [sys.executable, "-c", "import ensurepip"], capture_output=True, check=False
        ).returncode
        == 0
    )  # our own


def install_venv_package() -> None:
    """Install Debian's package for this Python, or say how."""
    package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        sys.exit(f"Python's venv module is missing. Install it: sudo apt-get install {package}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run([apt, "update", "-qq"], check=True, env=environment)  # noqa: S603  # found by which
    subprocess.run([apt, "install", "-y", "-qq", package], check=True, env=environment)  # noqa: S603  # as above


main()
