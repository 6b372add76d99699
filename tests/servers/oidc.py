"""A real OpenID provider on loopback: the npm package oidc-provider, installed once, into its own folder."""

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urljoin

import httpx2

from tests.servers.machine import end, free_port, greets, lacking, until

VERSION = "8.8.1"
HERE = Path(__file__).parent


class OidcProvider(NamedTuple):
    """A provider that runs."""

    issuer: str

    def log_in(self, address: str, name: str) -> str:
        """Go to the provider as a browser, log in, agree, and return where it sends the browser back to."""
        with httpx2.Client(timeout=20) as browser:
            for _ in range(12):
                answer = browser.get(address)
                while answer.is_redirect:
                    address = urljoin(str(answer.url), answer.headers["location"])
                    if not address.startswith(self.issuer):
                        return address
                    answer = browser.get(address)
                form = re.search(r'action="([^"]+)"', answer.text)
                assert form is not None, answer.text[:2000]
                fields = dict(re.findall(r'type="hidden" name="(\w+)" value="(\w*)"', answer.text))
                if 'name="login"' in answer.text:
                    fields |= {"login": name, "password": "any"}
                answer = browser.post(urljoin(str(answer.url), form[1]), data=fields)
                address = urljoin(str(answer.url), answer.headers["location"])
            raise AssertionError("the provider does not come to an end")


@contextmanager
def oidc_provider(redirect: str) -> Iterator[OidcProvider]:
    """Give a provider that sends people back to this address."""
    folder, port = _installed(), free_port()
    script = folder / f"provider-{os.getpid()}.mjs"
    shutil.copy(HERE / "oidc_provider.mjs", script)
    words = [shutil.which("node") or "node", str(script), str(port), redirect]
    process = subprocess.Popen(words, cwd=folder, stdout=subprocess.DEVNULL)
    try:
        until(lambda: greets(port), "the provider's start")
        yield OidcProvider(f"http://127.0.0.1:{port}")
    finally:
        end(process)
        script.unlink()


def _installed() -> Path:
    """Return a folder with the package, which is fetched once."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        lacking("node and npm are missing (Debian: apt-get install nodejs npm)")
    folder = Path(tempfile.gettempdir()) / f"pratique-tests-oidc-{VERSION}-{os.getuid()}"
    folder.mkdir(exist_ok=True, mode=0o700)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "node_modules" / "oidc-provider").exists():
            words = [
                "npm",
                "install",
                "--no-audit",
                "--no-fund",
                "--ignore-scripts",
                f"oidc-provider@{VERSION}",
            ]
            done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=100, check=False)
            if done.returncode != 0:
                lacking(f"oidc-provider cannot be installed: {done.stderr[-300:]}")
    return folder
