"""Promise: work, files, limits and output do the same at every level; each limit has its own word."""

# Code that is run is kept on the lines that it reads best on.
# ruff: noqa: E501

import asyncio
import json
from typing import Any

import pytest

from pratique.errors import SandboxUnavailableError, ToolError
from pratique.model import Level
from pratique.sandbox.backend import File, Grants, Guarantee, Limits, Spec, Status, Work
from tests.sandbox.cases import SMALL
from tests.sandbox.places import PLACES, Place

pytestmark = pytest.mark.asyncio(loop_scope="session")


def claimed(place: Place, needs: Guarantee) -> None:
    """Go on only where the place promises it."""
    if needs not in place.guarantees:
        pytest.skip(f"{place.name} does not claim {needs}")


def smaller(**changes: Any) -> Limits:
    return SMALL.model_copy(update=changes)


async def test_the_value_is_result_or_the_last_expression(place: Place) -> None:
    work = Work(code="sum(inputs['n'])", inputs=json.dumps({"n": [1, 2, 3]}).encode())
    assert (await place.run(work)).value_json == b"6"
    assert (await place.code("result = 1\n2")).value_json == b"1"
    assert (await place.code("a = 1")).value_json == b"null"
    assert (await place.code("'z\N{LATIN SMALL LETTER A WITH DIAERESIS}'")).value_json == '"zä"'.encode()


async def test_an_error_names_kind_text_and_line(place: Place) -> None:
    result = await place.code("a = 1\n\nb = a / 0")
    assert (result.status, result.error) == (Status.ERROR, "ZeroDivisionError: division by zero (line 3)")
    assert b"line 3" in result.stderr
    result = await place.code("a = (")
    assert result.status is Status.ERROR
    assert "never closed" in result.error


async def test_a_result_says_where_it_ran_and_under_which_limits(place: Place) -> None:
    result = await place.code("1", limits=SMALL)
    assert result.level is place.level
    assert result.interpreter.startswith("sha256:")
    assert result.limits == SMALL
    assert result.backend == {"landlock": "landlock", "container": "docker"}.get(place.name, "bubblewrap")
    assert result.usage.wall > 0
    assert result.usage.memory_peak > 1 << 20


async def test_a_program_gets_arguments_files_input_and_variables(open_place: Place) -> None:
    work = Work(
        argv=("sh", "-c", 'cat; cat a/b.txt; ./run.sh; echo "$1 $NAME"; exit 3', "sh", "one two"),
        files=(
            File(path="a/b.txt", data=b"file\n"),
            File(path="run.sh", data=b"#!/bin/sh\necho ran\n", executable=True),
        ),
        env={"NAME": "value"},
    )
    result = await open_place.run(work, stdin=b"input\n")
    assert result.stdout == b"input\nfile\nran\none two value\n"
    assert (result.status, result.rc, result.error) == (Status.ERROR, 3, "it ended with exit code 3")


async def test_a_program_that_is_missing_is_an_error(open_place: Place) -> None:
    result = await open_place.run(Work(argv=("/no/such/program",)))
    assert result.status is Status.ERROR
    assert "No such file" in result.error


async def test_large_input_that_nobody_reads_is_no_harm(open_place: Place) -> None:
    result = await open_place.run(Work(argv=("true",)), stdin=b"x" * 5_000_000)
    assert result.status is Status.OK
    result = await open_place.run(Work(argv=("wc", "-c")), stdin=b"x" * 5_000_000)
    assert result.stdout.strip() == b"5000000"


async def test_output_streams_while_it_runs(open_place: Place) -> None:
    came: list[tuple[str, bytes]] = []
    first = asyncio.Event()

    def emit(stream: str, data: bytes) -> None:
        came.append((stream, data))
        first.set()

    async def go(_name: str, _arguments: Any) -> Any:
        await first.wait()
        return True

    code = "import sys\nprint('one', flush=True)\ncall('go')\nprint('two', file=sys.stderr)"
    result = await open_place.run(Work(code=code), grants=Grants(calls=frozenset({"go"})), emit=emit, call=go)
    assert result.status is Status.OK, result
    assert came == [("stdout", b"one\n"), ("stderr", b"two\n")]


async def test_calls_of_tools_are_granted_by_name_and_answered(place: Place) -> None:
    async def tool(name: str, arguments: Any) -> Any:
        if name == "fails":
            raise ToolError("the agent may read this")
        if name == "breaks":
            raise RuntimeError("nobody may read this")
        return {"name": name, "got": arguments, "nan": float("nan")} if name == "bad" else arguments

    code = (
        "out = [call('echo', a=[1, {'b': None}])]\nfor name in ('fails', 'breaks', 'other', 'bad'):\n"
        "    try:\n        out.append(call(name))\n    except Exception as error:\n        out.append(str(error))\nout"
    )
    calls = frozenset({"echo", "fails", "breaks", "bad"})
    result = await place.run(Work(code=code), grants=Grants(calls=calls), call=tool)
    assert result.status is Status.OK, result
    assert json.loads(result.value_json or b"") == [
        {"a": [1, {"b": None}]},
        "the agent may read this",
        "breaks failed (RuntimeError)",
        "this code may not call 'other'; it may call: bad, breaks, echo, fails",
        "the result holds NaN, which is not JSON",
    ]


@pytest.mark.parametrize(
    ("code", "limits", "status", "limit", "words"),
    [
        ("while True: pass", smaller(wall=0.5), Status.TIMEOUT, "wall", "longer than 0.5 s"),
        ("while True: pass", smaller(cpu=1, wall=9), Status.TIMEOUT, "cpu", "more than 1 s of CPU"),
        ("'x' * (1 << 29)\n1", smaller(), Status.OOM, "memory", "bytes of memory"),
        ("while True: print('xxxxxxxxxx')", smaller(), Status.OUTPUT_LIMIT, "output", "printed more than"),
        ("'x' * 100_000", smaller(), Status.OUTPUT_LIMIT, "result", "larger than"),
    ],
    ids=["wall", "cpu", "memory", "output", "result"],
)
async def test_each_limit_has_its_own_word(
    place: Place, code: str, limits: Limits, status: Status, limit: str, words: str
) -> None:
    result = await place.code(code, limits=limits)
    assert (result.status, result.limit) == (status, limit), result
    assert words in result.error
    assert result.value_json is None
    if limit == "output":
        assert result.truncated
        assert len(result.stdout) == limits.output


@pytest.mark.parametrize(
    ("code", "limit"),
    [
        ("with open('f', 'wb') as f:\n    while True: f.write(b'x' * 65536)", "disk"),
        ("import os\nfor _ in range(100): os.fork() or os.execlp('sleep', 'sleep', '2')", "pids"),
        ("import time\nfor i in range(10_000): open(str(i), 'w').close()\ntime.sleep(1)", "files"),
    ],
    ids=["disk", "pids", "files"],
)
async def test_limits_of_disk_and_processes_have_their_own_words(
    open_place: Place, code: str, limit: str
) -> None:
    claimed(open_place, Guarantee.PIDS if limit == "pids" else Guarantee.DISK)
    result = await open_place.code(code, limits=SMALL)
    assert result.limit == limit, result
    assert result.status is (Status.KILLED if limit == "files" else Status.ERROR)


async def test_many_processes_together_are_bounded_by_the_watch(jail: Place) -> None:
    code = (
        "import os, time\nfor _ in range(8):\n    if os.fork() == 0:\n"
        "        x = bytearray(os.urandom(1 << 20)) * 60\n        time.sleep(3)\n        os._exit(0)\ntime.sleep(3)"
    )
    result = await jail.code(code, limits=SMALL)
    assert (result.status, result.limit) == (Status.OOM, "memory"), result
    assert result.usage.pids_peak > 1


async def test_a_full_disk_is_the_run_s_own_affair(open_place: Place) -> None:
    claimed(open_place, Guarantee.DISK)
    code = (
        "try:\n    with open('f', 'wb') as f:\n        while True: f.write(b'x' * 65536)\nexcept OSError: pass\n"
        "import os\nos.remove('f')\nopen('g', 'w').write('room again')"
    )
    result = await open_place.code(code, limits=SMALL)
    assert result.value_json == b"10", result


async def test_files_that_do_not_fit_are_an_error(open_place: Place) -> None:
    claimed(open_place, Guarantee.DISK)
    work = Work(code="1", files=(File(path="big", data=b"x" * 6_000_000),))
    result = await open_place.run(work, limits=SMALL)
    assert (result.status, result.limit) == (Status.ERROR, "disk")


async def test_artifacts_come_out_up_to_their_limits(open_place: Place) -> None:
    code = "for i in range(9): open(f'{i}.txt', 'w').write(str(i) * 10)\n1"
    limits = smaller(artifacts=3, artifact_bytes=25)
    result = await open_place.run(Work(code=code, artifacts=True), limits=limits)
    assert [(file.path, len(file.data)) for file in result.artifacts] == [("0.txt", 10), ("1.txt", 10)]
    assert {file.path: file.why for file in result.skipped} == {
        f"{i}.txt": "more bytes than are handed out" for i in range(2, 9)
    }


async def test_what_is_not_handed_out_is_named_with_the_reason(open_place: Place) -> None:
    code = (
        "import os\nos.mkdir('a')\nopen('a/good', 'w').write('good')\nos.symlink('/etc/passwd', 'link')\n"
        "os.symlink('/etc', 'folder')\nos.mkfifo('pipe')\nos.link('a/good', 'twice')\nopen('b', 'w').write('b')\n"
        "open('c', 'w').write('c')\nopen('odd\\n\\udcff', 'w').close()"
    )
    work = Work(code=code, artifacts=True, files=(File(path="given", data=b"as it was"),))
    result = await open_place.run(work, limits=smaller(artifacts=1))
    assert result.status is Status.OK, result
    if open_place.name == "landlock":  # its rights do not reach so far that a name can be given twice
        return
    assert [file.path for file in result.artifacts] == ["b"]
    why = {file.path: file.why for file in result.skipped}
    assert why.pop("c") == why.pop("odd\n\\xff") == "more files than are handed out"
    assert why.pop("link") == why.pop("folder")
    assert set(why) == {"pipe", "a/good", "twice"}


async def test_files_that_came_back_unchanged_take_nobody_s_place(open_place: Place) -> None:
    given = tuple(File(path=f"given{i}", data=b"x" * 100) for i in range(3))
    work = Work(
        code="open('given2', 'w').write('new')\nopen('z', 'w').write('z')", artifacts=True, files=given
    )
    result = await open_place.run(work, limits=smaller(artifacts=2, artifact_bytes=150))
    assert [(file.path, file.data) for file in result.artifacts] == [("given2", b"new"), ("z", b"z")]


async def test_a_sandbox_is_used_once(place: Place) -> None:
    async with place.sandbox() as sandbox:
        await sandbox.run(Work(code="1"), limits=SMALL, grants=Grants())
        with pytest.raises(SandboxUnavailableError, match="used before"):
            await sandbox.run(Work(code="1"), limits=SMALL, grants=Grants())
    await sandbox.aclose()


async def test_what_was_acquired_and_not_used_is_gone(place: Place) -> None:
    async with place.sandbox() as sandbox:
        assert sandbox.level is place.level
        assert sandbox.guarantees == place.guarantees
    with pytest.raises(SandboxUnavailableError):
        await sandbox.run(Work(code="1"), limits=SMALL, grants=Grants())


async def test_hosts_are_not_granted_where_none_can_be(container: Place) -> None:
    with pytest.raises(SandboxUnavailableError, match="no network"):
        await container.code("1", grants=Grants(hosts=("example.org:443",)))


async def test_the_landlock_place_is_never_given_to_those_who_ask_for_more(landlock: Place) -> None:
    for minimum in (Level.RESTRICTED, Level.JAIL, Level.CONTAINER):
        with pytest.raises(SandboxUnavailableError, match="less than the minimum"):
            await landlock.acquire(Spec(level=Level.JAIL, minimum=minimum))


@pytest.mark.parametrize("moment", [0.0, 0.001, 0.003, 0.01, 0.03, 0.08])
async def test_cancelling_at_any_moment_leaves_nothing(place: Place, moment: float) -> None:
    code = "a = 1\nwhile True: a += 1" if place.name == "restricted" else "import time\ntime.sleep(20)"
    task = asyncio.create_task(place.code(code, limits=smaller(wall=20, cpu=20)))
    await asyncio.sleep(moment)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await place.code("2", limits=SMALL)).value_json == b"2"


def at_once(name: str) -> Any:
    """A place for two hundred calls: each takes its time, a container's minutes."""
    return pytest.param(name, marks=[pytest.mark.slow] * (name != "jail"))


@pytest.fixture
def crowded(request: pytest.FixtureRequest) -> Place:
    """The place that a test names, made before its loop runs."""
    place: Place = request.getfixturevalue(request.param)
    return place


@pytest.mark.timeout(600)
@pytest.mark.parametrize("crowded", [at_once(name) for name in PLACES], indirect=True)
async def test_two_hundred_calls_at_once_on_a_pool_of_four(crowded: Place) -> None:
    results = await asyncio.gather(*(crowded.code(f"{n} * 2", limits=smaller(wall=9)) for n in range(200)))
    assert [json.loads(result.value_json or b"null") for result in results] == [n * 2 for n in range(200)]
