"""`pratique sandbox`: run something by hand in a level of the ladder, and build the container image.

Rules:
- The level that is asked for is the one that runs; there is no other flag for "or whatever there is".
- Output streams as it comes; how it ended goes to standard error, so that a pipe gets the program's output.
- The exit code is the program's own; 124 for a time limit, 125 for every other end, 126 when the level is
  not to be had.
"""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from pydantic import ValidationError

from pratique.cli.console import JsonOption, complain, fail, print_json, reporting_errors, say
from pratique.errors import SandboxUnavailableError
from pratique.model import Level
from pratique.sandbox import image as images
from pratique.sandbox.backend import File, Grants, Limits, Result, Status, Work
from pratique.sandbox.engine import Engine
from pratique.sandbox.ladder import Ladder

app = typer.Typer(
    name="sandbox",
    help="Run something by hand at a sandbox level, and build the containers' image.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

_TIMEOUT, _OTHER, _UNAVAILABLE = 124, 125, 126


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def run(  # noqa: PLR0913  # each is an option of the command line
    context: typer.Context,
    *,
    level: Annotated[Level, typer.Option(help="Where to run.")] = Level.JAIL,
    code: Annotated[str | None, typer.Option(help="Python code, instead of a program.")] = None,
    inputs: Annotated[str, typer.Option(help="JSON that the code finds as `inputs`.")] = "null",
    file: Annotated[list[Path] | None, typer.Option(help="A file for the work folder; repeatable.")] = None,
    host: Annotated[list[str] | None, typer.Option(help="host:port it may reach; repeatable.")] = None,
    wall: Annotated[float, typer.Option(help="Seconds it may take.")] = 10.0,
    memory: Annotated[int, typer.Option(help="MiB of memory it may use.")] = 256,
    stdin: Annotated[bool, typer.Option("--stdin", help="Pass on standard input.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Run a program (after `--`) or Python code in a fresh sandbox.

    Example: `pratique sandbox run --level jail -- python3 -c 'import os; print(os.listdir("/"))'`
    """
    try:
        files = tuple(File(path=path.name, data=path.read_bytes()) for path in file or ())
        work = Work(code=code, argv=tuple(context.args), inputs=inputs.encode(), files=files)
        limits = Limits(wall=wall, cpu=wall, memory=memory << 20)
        grants = Grants(hosts=tuple(host or ()))
    except (ValueError, OSError) as error:
        fail(_why(error))
    data = sys.stdin.buffer.read() if stdin else b""
    with _telling_unavailable():
        result = asyncio.run(_run(level, work, limits, grants, data, stream=not as_json))
    if as_json:
        print_json(_plain(result))
    else:
        _show(result)
    raise typer.Exit(_exit_code(result))


@app.command()
def image(
    *,
    base: Annotated[str, typer.Option(help="The image to stand on; it must have python3.")] = "",
    tag: Annotated[str, typer.Option(help="The name that the image gets.")] = images.DEFAULT_TAG,
    file: Annotated[Path | None, typer.Option(help="Another Dockerfile than ours.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Build the image of the level container and print its digest.

    Example: `pratique sandbox image --base python:3.13-slim`
    """
    with reporting_errors(), _telling_unavailable():
        digest = asyncio.run(_build(base, tag, file))
    if as_json:
        print_json({"tag": tag, "digest": digest})
    else:
        say(f"{tag} {digest}")


@contextmanager
def _telling_unavailable() -> Iterator[None]:
    """Turn a level that cannot be had into one line and its own exit code."""
    try:
        yield
    except SandboxUnavailableError as error:
        fail(str(error), _UNAVAILABLE)


def _why(error: ValueError | OSError) -> str:
    """Return in one line what is wrong with the options."""
    if isinstance(error, ValidationError):
        return "; ".join(one["msg"] for one in error.errors())
    return str(error)


def _plain(result: Result) -> dict[str, Any]:
    """Return a result as JSON values, its bytes as the text that they are meant to be."""
    found = result.model_dump(exclude={"artifacts", "stdout", "stderr", "value_json"})
    value = None if result.value_json is None else orjson.loads(result.value_json)
    printed = {name: getattr(result, name).decode(errors="replace") for name in ("stdout", "stderr")}
    return {**found, "value": value, **printed}


async def _run(
    level: Level, work: Work, limits: Limits, grants: Grants, stdin: bytes, *, stream: bool
) -> Result:
    ladder = Ladder(warm=0)
    try:
        return await ladder.run(
            work,
            level=level,
            limits=limits,
            grants=grants,
            stdin=stdin,
            emit=_emit if stream else None,
        )
    finally:
        await ladder.aclose()


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
    if result.value_json is not None:
        say(result.value_json.decode())
    used = result.usage
    because = f", {result.error}" if result.error else ""
    complain(
        f"{result.level} ({result.backend}): {result.status}{because} · {used.wall:.3f} s, "
        f"{used.cpu:.3f} s CPU, {used.memory_peak >> 20} MiB",
        "dim",
    )


def _exit_code(result: Result) -> int:
    if result.status is Status.OK:
        return 0
    if result.status is Status.TIMEOUT:
        return _TIMEOUT
    return result.rc if result.rc is not None and result.rc > 0 else _OTHER
