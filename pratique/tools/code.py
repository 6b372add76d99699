"""The code tools: `python.run` and `shell.run`, for code that nobody here wrote.

Rules:
- What runs, runs in a sandbox (`ctx.sandbox`): a jail, or what the maker or
  the policy demands.
- Reading, because nothing leaves and nothing is changed; with hosts it is egress.
- Everything that comes out is untrusted: values, output, the names of files.
- Code that raises fails the call with its reason. A program's exit code is part of its result.
"""

import base64
from collections.abc import Iterable
from typing import Annotated, Any, Literal

import orjson
from pydantic import Field, JsonValue, ValidationError

from pratique.errors import ToolError
from pratique.model import Level, Tier
from pratique.sandbox.backend import File, Limits, Result, Status, Work
from pratique.tools.context import ToolContext
from pratique.tools.declaration import Tool, tool

OUTPUT = 64 * 1024
VALUE = 512 * 1024
FILES = 256 * 1024
MOST_FILES = 16
LONGEST_TAIL = 400
"""Characters of what code printed that a failed call repeats."""

_RESULT_LIMIT = (
    6 * (2 * OUTPUT + max(VALUE, FILES)) + 64 * 1024
)  # a control character takes six bytes of JSON

Code = Annotated[str, Field(min_length=1, max_length=64 * 1024)]
Argument = Annotated[str, Field(max_length=16 * 1024)]
Argv = Annotated[list[Argument], Field(min_length=1, max_length=256)]
Texts = Annotated[dict[str, str], Field(max_length=64)]
CodeLevel = Level | Literal["restricted", "jail", "container"]


def python_tool(
    name: str = "python.run",
    *,
    runs_in: CodeLevel = Level.JAIL,
    hosts: Iterable[str] = (),
    private: Iterable[str] = (),
    calls: Iterable[str] = (),
    timeout: float = 30.0,
    memory: int = 256 << 20,
) -> Tool:
    """Return a tool that runs Python code.

    Args:
        name: what it is called.
        runs_in: where the code runs, at least.
        hosts: `host` or `host:port` that the code may reach; makes it egress.
        private: more of them, which may be in the own network or on this machine.
        calls: inline tools that the code may call with `call(name, **arguments)`: each is a governed call.
        timeout: seconds, of time and of CPU.
        memory: bytes.

    Raises:
        ToolDeclarationError: something of it cannot be declared.
    """
    reach, own = tuple(hosts), tuple(private)

    @tool(
        name,
        tier=_tier(reach + own),
        runs_in=runs_in,
        hosts=reach,
        private=own,
        calls=calls,
        timeout=timeout,
        result_limit=_RESULT_LIMIT,
    )
    async def run_python(ctx: ToolContext, code: Code, inputs: JsonValue = None) -> dict[str, Any]:
        """Run Python code in a sandbox. It finds `inputs`; what it assigns to `result` is the value.

        Without an assignment the last expression is the value. It must be JSON.
        """
        work = _work(code=code, inputs=orjson.dumps(inputs))
        ran = await ctx.sandbox.run(work, limits=_limits(timeout, memory))
        if ran.status is not Status.OK:
            raise ToolError(_failure(ran))
        return {"value": orjson.loads(ran.value_json or b"null"), **_printed(ran)}

    return run_python


def shell_tool(
    name: str = "shell.run",
    *,
    runs_in: CodeLevel = Level.JAIL,
    hosts: Iterable[str] = (),
    private: Iterable[str] = (),
    timeout: float = 30.0,
    memory: int = 256 << 20,
) -> Tool:
    """Return a tool that runs a program of the sandbox's own system. The arguments are `python_tool`'s.

    Raises:
        ToolDeclarationError: something of it cannot be declared.
    """
    reach, own = tuple(hosts), tuple(private)

    @tool(
        name,
        tier=_tier(reach + own),
        runs_in=runs_in,
        hosts=reach,
        private=own,
        timeout=timeout,
        result_limit=_RESULT_LIMIT,
    )
    async def run_shell(ctx: ToolContext, argv: Argv, files: Texts | None = None) -> dict[str, Any]:
        """Run a program in a sandbox, on files that are put into its folder; returns what it left there.

        `argv` is a program and its arguments, not a shell's line: for that, say `["sh", "-c", …]`.
        """
        given = tuple({"path": path, "data": text.encode()} for path, text in (files or {}).items())
        work = _work(argv=tuple(argv), files=given, artifacts=True)
        ran = await ctx.sandbox.run(work, limits=_limits(timeout, memory))
        if ran.rc is None:
            raise ToolError(_failure(ran))
        left = [{"path": file.path, **_content(file.data)} for file in ran.artifacts]
        skipped = [file.model_dump() for file in ran.skipped]
        about = {"exit_code": ran.rc, "error": ran.error}
        return {**about, **_printed(ran), "files": left, "skipped": skipped}

    return run_shell


def _tier(reach: tuple[str, ...]) -> Tier:
    return Tier.EGRESS if reach else Tier.READ


def _work(**what: Any) -> Work:
    """Return the work.

    Raises:
        ToolError: it cannot be run: a path that leads out of the folder, a NUL.
    """
    try:
        files = tuple(File(**file) for file in what.pop("files", ()))
        return Work(**what, files=files)
    except ValidationError as problem:
        raise ToolError("; ".join(error["msg"] for error in problem.errors()[:5])) from None


def _limits(seconds: float, memory: int) -> Limits:
    return Limits(
        wall=seconds,
        cpu=seconds,
        memory=memory,
        output=OUTPUT,
        result=VALUE,
        artifacts=MOST_FILES,
        artifact_bytes=FILES,
    )


def _printed(ran: Result) -> dict[str, Any]:
    return {"stdout": _text(ran.stdout), "stderr": _text(ran.stderr), "truncated": ran.truncated}


def _failure(ran: Result) -> str:
    """Return why a run failed, and the end of what it had printed by then."""
    printed = (_text(ran.stderr).strip() or _text(ran.stdout).strip())[-LONGEST_TAIL:]
    return f"{ran.error}; it printed: {printed}" if printed else ran.error


def _content(data: bytes) -> dict[str, str]:
    try:
        return {"encoding": "text", "content": data.decode("utf-8")}
    except UnicodeDecodeError:
        return {"encoding": "base64", "content": base64.b64encode(data).decode()}


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


run_python = python_tool()
run_shell = shell_tool()
