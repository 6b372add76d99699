"""A witness by C2SP tlog-witness, and a time-stamp authority by RFC 3161: processes with real sockets.

    python -m tests.servers.witness PORT STATE LOG_KEY...

The witness is written from the specification alone: it shares no code with Pratique but the standalone
verifier's notes, which are not Pratique's either. The authority is `openssl ts` behind HTTP.
"""

import base64
import hashlib
import json
import subprocess
import sys
import tempfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

NAME = "witness.example/w1"
SEED = hashlib.sha256(b"a witness of the tests").digest()
CNF = """
[tsa]
default_tsa = tsa1
[tsa1]
serial = {folder}/serial
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
ess_cert_id_alg = sha256
"""
REQUEST = """
[req]
distinguished_name = dn
prompt = no
x509_extensions = ext
[dn]
CN = Time of the tests
[ext]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = critical,timeStamping
[root]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign
"""


def witness_key() -> str:
    """Return the witness's verifier key."""
    body = b"\x04" + Ed25519PrivateKey.from_private_bytes(SEED).public_key().public_bytes_raw()
    key_id = hashlib.sha256(NAME.encode() + b"\n" + body).digest()[:4]
    return f"{NAME}+{key_id.hex()}+{base64.b64encode(body).decode()}"


class RefusedError(Exception):
    """An answer that is not 200."""

    def __init__(self, status: int, body: str = "") -> None:
        self.status, self.body = status, body


class Handler(BaseHTTPRequestHandler):
    """Answers `add-checkpoint` and time-stamp requests."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        state = self.server.state  # type: ignore[attr-defined]  # ours
        try:
            _demand_up(state)
            answer = self._stamp(body, state) if self.path == "/tsa" else self._witness(body.decode(), state)
        except RefusedError as refusal:
            self.send_response(refusal.status)
            self.end_headers()
            self.wfile.write(refusal.body.encode())
            return
        self.send_response(200)
        self.end_headers()
        self.wfile.write(answer)

    def _witness(self, body: str, state: dict[str, Any]) -> bytes:
        head, _, note = body.partition("\n\n")
        first, *hashes = head.split("\n")
        old = int(first.removeprefix("old "))
        text, _, signatures = note.rpartition("\n\n")
        origin, size_text, root_text = text.split("\n")[:3]
        size, root = int(size_text), base64.b64decode(root_text)
        if origin not in state["logs"]:
            raise RefusedError(404)
        if not any(_signed(f"{text}\n", line, state["logs"][origin]) for line in signatures.splitlines()):
            raise RefusedError(403)
        if old > size:
            raise RefusedError(400)
        known = json.loads(state["file"].read_text()) if state["file"].exists() else {}
        have, have_root = known.get(origin, [0, ""])
        if have != old:
            raise RefusedError(409, f"{have}\n")
        if old == size and have_root != root.hex() and old:
            raise RefusedError(409, f"{have}\n")
        proof = [base64.b64decode(each) for each in hashes]
        if not _consistent(old, bytes.fromhex(have_root), size, root, proof):
            raise RefusedError(422)
        state["file"].write_text(json.dumps({**known, origin: [size, root.hex()]}))
        at = 1_790_000_200
        message = f"cosignature/v1\ntime {at}\n{text}\n".encode()
        signature = at.to_bytes(8, "big") + Ed25519PrivateKey.from_private_bytes(SEED).sign(message)
        key_id = bytes.fromhex(witness_key().split("+")[1])
        return f"— {NAME} {base64.b64encode(key_id + signature).decode()}\n".encode()

    def _stamp(self, body: bytes, state: dict[str, Any]) -> bytes:
        folder = state["tsa"]
        with (
            tempfile.NamedTemporaryFile(dir=folder) as query,
            tempfile.NamedTemporaryFile(dir=folder) as reply,
        ):
            Path(query.name).write_bytes(body)
            options = ["-config", f"{folder}/tsa.cnf", "-queryfile", query.name, "-out", reply.name]
            options += ["-inkey", f"{folder}/tsa.key", "-signer", f"{folder}/tsa.crt"]
            subprocess.run(["openssl", "ts", "-reply", *options], check=True, capture_output=True)  # noqa: S607
            return Path(reply.name).read_bytes()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class's name
        pass


def _demand_up(state: dict[str, Any]) -> None:
    if state["down"].exists():
        raise RefusedError(503)


def _signed(text: str, line: str, key: str) -> bool:
    name, stated, encoded = key.split("+", 2)
    _, said, body = line.split(" ")
    raw = base64.b64decode(body)
    if said != name or raw[:4].hex() != stated:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(base64.b64decode(encoded)[1:]).verify(raw[4:], text.encode())
    except Exception:  # noqa: BLE001  # not signed, for whatever reason
        return False
    return True


def _consistent(old: int, old_root: bytes, new: int, new_root: bytes, proof: list[bytes]) -> bool:
    """RFC 6962, 2.1.2, by its recursive definition: what the old and the new root are by this proof."""
    if old == 0:
        return not proof
    if old == new:
        return not proof and old_root == new_root
    rest = list(proof)

    def roots(m: int, n: int, *, whole: bool) -> tuple[bytes, bytes]:
        if m == n:
            known = old_root if whole else rest.pop()
            return known, known
        k = 1 << ((n - 1).bit_length() - 1)
        right = rest.pop()
        if m <= k:
            before, after = roots(m, k, whole=whole)
            return before, _node(after, right)
        before, after = roots(m - k, n - k, whole=False)
        return _node(right, before), _node(right, after)

    try:
        found = roots(old, new, whole=True)
    except IndexError:
        return False
    return not rest and found == (old_root, new_root)


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def make_authority(folder: Path) -> Path:
    """Make keys and certificates of a time-stamp authority; return its root certificate."""
    folder.mkdir()
    (folder / "tsa.cnf").write_text(CNF.format(folder=folder))
    (folder / "req.cnf").write_text(REQUEST)
    (folder / "serial").write_text("01\n")
    new = ["openssl", "req", "-newkey", "rsa:2048", "-nodes", "-config", f"{folder}/req.cnf", "-days", "3650"]
    root = [*new, "-x509", "-extensions", "root", "-subj", "/CN=Root of the tests"]
    steps = [
        [*root, "-keyout", f"{folder}/root.key", "-out", f"{folder}/root.crt"],
        [*new, "-keyout", f"{folder}/tsa.key", "-out", f"{folder}/tsa.csr"],
        [
            *("openssl", "x509", "-req", "-in", f"{folder}/tsa.csr", "-CA", f"{folder}/root.crt"),
            *("-CAkey", f"{folder}/root.key", "-CAcreateserial", "-out", f"{folder}/tsa.crt"),
            *("-days", "3650", "-extfile", f"{folder}/req.cnf", "-extensions", "ext"),
        ],
    ]
    for step in steps:
        subprocess.run(step, check=True, capture_output=True)
    return folder / "root.crt"


def main(port: int, folder: Path, keys: list[str]) -> None:
    """Serve until ended."""
    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    logs = {key.split("+")[0]: key for key in keys}
    state = {"logs": logs, "file": folder / "state.json", "tsa": folder / "tsa", "down": folder / "down"}
    server.state = state  # type: ignore[attr-defined]  # a handler reaches its server
    server.serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
