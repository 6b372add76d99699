"""A web server on loopback that answers as a test says."""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

Answer = tuple[int, bytes] | None
Short = Callable[[str, str], Answer]
Long = Callable[[str, str, bytes, dict[str, str]], Answer]

_PASSED_ON = ("If-Match", "Content-Type", "Accept", "X-Requested-With")


class Script:
    """Answers with a status and a body; None ends the connection instead.

    Args:
        short: the answer to a method and a path.
        long: the answer to a method, a path, a body and some headers; used where there is no `short`.
    """

    def __init__(self, short: Short | None, long: Long | None = None) -> None:
        script = self
        self._heard: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                script._heard.append(self.command)
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {name: self.headers[name] for name in _PASSED_ON if name in self.headers}
                answer = (
                    short(self.command, self.path)
                    if short
                    else long(self.command, self.path, body, headers)
                    if long
                    else None
                )
                if answer is None:
                    self.close_connection = True
                    return
                status, said = answer
                self.send_response(status)
                self.send_header("Location", "http://elsewhere.example/")
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            do_GET = do_POST = do_PATCH = _answer  # noqa: N815  # http.server's names

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # http.server's name
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/tracker/"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def count(self, method: str) -> int:
        """How many requests of a method came."""
        return self._heard.count(method)
