"""A real OpenID provider on loopback: the npm package oidc-provider, installed once, into its own folder."""

import base64
import hashlib
import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

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

    def token(self, resource: str, **more: str) -> str:
        """Return the access token that the client `robot` gets for itself, for this resource."""
        asked = {"grant_type": "client_credentials", "resource": resource, "scope": "tools", **more}
        with httpx2.Client(timeout=20) as client:
            answer = client.post(f"{self.issuer}/token", data=asked, auth=("robot", "a secret of the robot"))
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    def token_of(self, name: str, resource: str, redirect: str) -> str:
        """Return the access token that the client `ide` gets for a person who logs in and agrees."""
        verifier = secrets.token_urlsafe(40)
        digest = hashlib.sha256(verifier.encode()).digest()
        asked = {
            "response_type": "code",
            "client_id": "ide",
            "redirect_uri": redirect,
            "scope": "openid tools",
            "resource": resource,
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        back = self.log_in(f"{self.issuer}/auth?{urlencode(asked)}", name)
        code = parse_qs(urlsplit(back).query)["code"][0]
        words = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect,
            "client_id": "ide",
            "code_verifier": verifier,
            "resource": resource,
        }
        with httpx2.Client(timeout=20) as client:
            answer = client.post(f"{self.issuer}/token", data=words)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])


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
