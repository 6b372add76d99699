"""A real OpenID provider on loopback: the npm package oidc-provider, installed once, into its own folder."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urljoin

import httpx2

from tests.servers.machine import end, free_port, greets, until
from tests.servers.npm import installed

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
    folder, port = installed("oidc-provider", VERSION), free_port()
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
