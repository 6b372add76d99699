"""`pratique serve`: a long-running process with a health address."""

import sys
from typing import Annotated

import typer
import uvicorn

from pratique.app import open_runtime
from pratique.cli.console import ConfigOption, reporting_errors, stderr
from pratique.errors import SettingsError

LOOPBACK = {"127.0.0.1", "::1", "localhost"}

Host = Annotated[str, typer.Option(help="Address to listen on; loopback only.")]
Port = Annotated[int, typer.Option(help="Port to listen on.")]


def serve(config: ConfigOption = None, *, host: Host = "127.0.0.1", port: Port = 8440) -> None:
    """Open the ledger, the policy and the tools, and answer `/healthz` until told to stop.

    What is unsettled from a crash is settled at start. The address says 200 while calls can be recorded and
    503, with the reason, while they cannot. It has no login yet, so it listens on loopback only.

    Example: `pratique serve --port 8440`
    """
    from pratique.server.app import create_app  # noqa: PLC0415  # the web stack is slow to import

    with reporting_errors():
        if host not in LOOPBACK:
            raise SettingsError(f"--host {host}: there is no login yet, so only loopback is served")
        runtime = open_runtime(config, logs=True)
        stderr.print(f"serving http://{host}:{port}/healthz; stop with Ctrl-C")
        server = uvicorn.Server(
            uvicorn.Config(create_app(runtime), host=host, port=port, log_level="warning", access_log=False)
        )
        server.run()
    if not server.started:
        sys.exit(2)
