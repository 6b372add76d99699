"""`pratique serve`: the server, in the foreground, until it is told to stop."""

import sys
from typing import Annotated, Any

import typer

from pratique.app import open_notifier, open_runtime
from pratique.cli.console import ConfigOption, reporting_errors, stderr
from pratique.settings import Settings

Host = Annotated[str | None, typer.Option(help="Address to listen on, instead of server.host.")]
Port = Annotated[int | None, typer.Option(help="Port to listen on, instead of server.port; 0 for any.")]
Proxy = Annotated[
    bool,
    typer.Option(
        "--unencrypted-behind-tls-proxy",
        help="Speak plain HTTP beyond loopback: only a proxy that speaks TLS can reach this.",
    ),
]

FIRST = """nobody can log in yet. Make the first owner, and open the link that is printed:
  pratique people add you@company.example --role owner --role admin"""


def serve(
    config: ConfigOption = None, *, host: Host = None, port: Port = None, unencrypted: Proxy = False
) -> None:
    """Open the ledger, the policy and the tools, and serve agents and people until told to stop.

    Agents come in with a key (`pratique keys issue`), people with a login (`pratique people add`). What is
    unsettled from a crash is settled at start. Beyond loopback it takes TLS, and somebody who can log in.

    When told to stop (Ctrl-C, SIGTERM), running calls get server.shutdown_seconds to finish; the rest is
    recorded.

    Example: `pratique serve --port 8440`
    """
    from pratique.server.app import create_app  # noqa: PLC0415  # the web stack is slow to import
    from pratique.server.listen import address_of, demand_safe, listening, server_for  # noqa: PLC0415

    with reporting_errors():
        settings = _overridden(Settings.load(config), host, port, unencrypted=unencrypted)
        runtime = open_runtime(settings, logs=True)
        try:
            demand_safe(settings, runtime.ledger)
            socket = listening(settings.server)
            app = create_app(
                runtime,
                settings.server,
                secrets=_secrets(settings),
                notifier=open_notifier(settings, runtime.ledger, runtime.desk),
            )
        except BaseException:
            runtime.ledger.close()
            raise
        stderr.print(f"serving {address_of(settings.server, socket.getsockname()[1])}; stop with Ctrl-C")
        if not app.state.door.people.all() and settings.server.oidc is None:
            stderr.print(FIRST)
        server = server_for(app, settings)
        server.run(sockets=[socket])
    if not server.started:
        sys.exit(2)


def _secrets(settings: Settings) -> Any:
    from pratique.server.app import Secrets  # noqa: PLC0415  # as above

    of = settings.server
    return Secrets(
        oidc=settings.secret_of("server.oidc.client_secret", of.oidc.client_secret) if of.oidc else "",
        metrics=settings.secret_of("server.metrics_token", of.metrics_token),
    )


def _overridden(settings: Settings, host: str | None, port: int | None, *, unencrypted: bool) -> Settings:
    given: dict[str, Any] = {"host": host, "port": port, "unencrypted_behind_tls_proxy": unencrypted or None}
    changed = {name: value for name, value in given.items() if value is not None}
    return settings.with_server(**changed) if changed else settings
