"""A server that can be killed and be there again in no time: a parent that has loaded everything forks it.

Usage: python -m tests.server.doomed_server SETTINGS. It writes the port; then for each line on standard input
it forks a server on that port, and writes its process id once the server is there.
"""

import os
import signal
import sys
from pathlib import Path

from pratique.app import open_runtime
from pratique.server import mcp, web
from pratique.server.app import create_app
from pratique.server.listen import listening, server_for
from pratique.settings import Settings

LOADED = (mcp, web)  # an application imports them when it is made: here that is once, before the forks


def main() -> None:
    """Fork a server for each line."""
    settings = Settings.load(sys.argv[1])
    os.chdir(Path(sys.argv[1]).parent)
    socket = listening(settings.server)
    say(socket.getsockname()[1])
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for _ in sys.stdin:
        reader, writer = os.pipe()
        pid = os.fork()
        if not pid:
            os.close(reader)
            serve(settings, socket, writer)
        os.close(writer)
        os.read(reader, 1)
        os.close(reader)
        say(pid)


def say(number: int) -> None:
    """Write a line to whoever started this."""
    os.write(1, f"{number}\n".encode())


def serve(settings: Settings, socket: object, ready: int) -> None:
    """Serve until killed."""
    os.dup2(2, 1)  # what it logs is not for whoever reads this
    runtime = open_runtime(settings)
    app = create_app(runtime, settings.server)
    os.write(ready, b"x")  # what comes before it listens waits in the socket
    os.close(ready)
    server_for(app, settings).run(sockets=[socket])  # type: ignore[list-item]
    os._exit(0)


if __name__ == "__main__":
    main()
