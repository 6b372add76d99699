"""`pratique sandbox`: run something by hand in a level of the ladder, and build the container image.

Rules:
- The level that is asked for is the one that runs; there is no other flag for "or whatever there is".
- Output streams as it comes; how it ended goes to standard error, so that a pipe gets the program's output.
- The exit code is the program's own; 124 for a time limit, 125 for every other end, 126 when the level is
  not to be had.
"""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from pratique.errors import SandboxUnavailableError
from pratique.model import Level
from pratique.sandbox import image as images
from pratique.sandbox.backend import File, Grants, Limits, Provider, Result, Spec, Status, Work
from pratique.sandbox.container import ContainerProvider
from pratique.sandbox.engine import Engine
from pratique.sandbox.jail import JailProvider
from pratique.sandbox.restricted import RestrictedProvider

app = typer.Typer(help="Try the sandbox levels by hand.", no_args_is_help=True)

_TIMEOUT, _OTHER, _UNAVAILABLE = 124, 125, 126


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def run(  # noqa: PLR0913, PLR0917  # each is an option of the command line
    context: typer.Context,
    level: Annotated[Level, typer.Option(help="Where to run.")] = Level.JAIL,
    code: Annotated[str | None, typer.Option(help="Python code, instead of a program.")] = None,
    inputs: Annotated[str, typer.Option(help="JSON that the code finds as `inputs`.")] = "null",
    file: Annotated[list[Path] | None, typer.Option(help="A file for the work folder; repeatable.")] = None,
    host: Annotated[list[str] | None, typer.Option(help="host:port it may reach; repeatable.")] = None,
    wall: Annotated[float, typer.Option(help="Seconds it may take.")] = 10.0,
    memory: Annotated[int, typer.Option(help="MiB of memory it may use.")] = 256,
    stdin: Annotated[bool, typer.Option("--stdin", help="Pass on standard input.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Run a program (after `--`) or Python code in a fresh sandbox."""
    try:
        files = tuple(File(path=path.name, data=path.read_bytes()) for path in file or ())
        work = Work(code=code, argv=tuple(context.args), inputs=inputs.encode(), files=files)
        limits = Limits(wall=wall, cpu=wall, memory=memory << 20)
        grants = Grants(hosts=tuple(host or ()))
    except (ValueError, OSError) as error:
        raise typer.BadParameter(str(error)) from error
    data = sys.stdin.buffer.read() if stdin else b""
    try:
        result = asyncio.run(_run(level, work, limits, grants, data, stream=not json))
    except SandboxUnavailableError as error:
        typer.echo(f"pratique: {error}", err=True)
        raise typer.Exit(_UNAVAILABLE) from None
    if json:
        typer.echo(result.model_dump_json(indent=2, exclude={"artifacts"}))
    else:
        _show(result)
    raise typer.Exit(_exit_code(result))


@app.command()
def image(
    base: Annotated[str, typer.Option(help="The image to stand on; it must have python3.")] = "",
    tag: Annotated[str, typer.Option(help="The name that the image gets.")] = images.DEFAULT_TAG,
    file: Annotated[Path | None, typer.Option(help="Another Dockerfile than ours.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print name and digest as JSON.")] = False,
) -> None:
    """Build the image of the level container and print its digest."""
    try:
        digest = asyncio.run(_build(base, tag, file))
    except SandboxUnavailableError as error:
        typer.echo(f"pratique: {error}", err=True)
        raise typer.Exit(_UNAVAILABLE) from None
    if json:
        Console().print_json(data={"tag": tag, "digest": digest})
    else:
        typer.echo(f"{tag} {digest}")


async def _run(
    level: Level, work: Work, limits: Limits, grants: Grants, stdin: bytes, *, stream: bool
) -> Result:
    provider = _provider(level)
    try:
        spec = Spec(level=level, minimum=level, network=bool(grants.hosts), limits=limits)
        sandbox = await provider.acquire(spec)
        try:
            return await sandbox.run(
                work, limits=limits, grants=grants, stdin=stdin, emit=_emit if stream else None
            )
        finally:
            await sandbox.aclose()
    finally:
        await provider.aclose()


def _provider(level: Level) -> Provider:
    if level is Level.RESTRICTED:
        return RestrictedProvider(warm=0)
    if level is Level.JAIL:
        return JailProvider(warm=0)
    if level is Level.CONTAINER:
        return ContainerProvider(warm=0)
    raise SandboxUnavailableError("the level inline isolates nothing, so nothing foreign is run in it")


async def _build(base: str, tag: str, file: Path | None) -> str:
    engine = Engine()
    try:
        return await images.build(engine, base=base, tag=tag, dockerfile=file)
    finally:
        await engine.close()


def _emit(stream: str, data: bytes) -> None:
    target = sys.stdout if stream == "stdout" else sys.stderr
    target.buffer.write(data)
    target.buffer.flush()


def _show(result: Result) -> None:
    """Say how it ended, where nobody's pipe is disturbed."""
    console = Console(stderr=True, highlight=False)
    if result.value_json is not None:
        typer.echo(result.value_json.decode())
    used = result.usage
    line = (
        f"{result.level} ({result.backend}): {result.status}"
        f"{f', {result.error}' if result.error else ''} · {used.wall:.3f} s, "
        f"{used.cpu:.3f} s CPU, {used.memory_peak >> 20} MiB"
    )
    console.print(line, markup=False)


def _exit_code(result: Result) -> int:
    if result.status is Status.OK:
        return 0
    if result.status is Status.TIMEOUT:
        return _TIMEOUT
    return result.rc if result.rc is not None and result.rc > 0 else _OTHER
