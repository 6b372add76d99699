"""Runs Python under RestrictedPython: a policy on the language, inside a jail that holds without it.

Rules:
- The code gets names that are listed here, frozen facades of a few modules, and JSON copies; no object that
  belongs to anybody else. What unpacking or formatting could reach is therefore the code's own.
- The jail stops what a language policy cannot: loops that swallow every exception, sums that never end.
- Who wrote the code is told what is not allowed, on which line, and what to write instead (`explain`).

Source: RestrictedPython's documentation, "Usage of RestrictedPython" and "API overview".
"""

import ast
import builtins
import json
import operator
import sys
from collections.abc import Callable
from types import CodeType
from typing import Any

from RestrictedPython.compile import compile_restricted_exec
from RestrictedPython.Eval import default_guarded_getitem, default_guarded_getiter
from RestrictedPython.Guards import (
    full_write_guard,
    guarded_iter_unpack_sequence,
    guarded_unpack_sequence,
    safe_builtins,
    safer_getattr_raise,
)

from . import explain, facades, python

# Not in RestrictedPython's own list, and harmless: they make or walk the code's own values. `type`,
# `getattr`, `open`, `vars`, `format` and all that compiles stay out; `setattr` and `delattr` are taken away.
_MORE = (
    *(
        "all",
        "any",
        "ascii",
        "bin",
        "bytes",
        "dict",
        "enumerate",
        "filter",
        "frozenset",
        "iter",
        "list",
        "map",
    ),
    *("max", "min", "next", "object", "reversed", "set", "sorted", "sum", "tuple", "zip", "property"),
    *("staticmethod", "classmethod", "ValueError", "StopIteration", "TimeoutError", "RecursionError"),
)
_LESS = ("setattr", "delattr", "id")

_IN_PLACE: "dict[str, Callable[[Any, Any], Any]]" = {
    "+=": operator.iadd,
    "-=": operator.isub,
    "*=": operator.imul,
    "/=": operator.itruediv,
    "//=": operator.ifloordiv,
    "%=": operator.imod,
    "**=": operator.ipow,
    "<<=": operator.ilshift,
    ">>=": operator.irshift,
    "|=": operator.ior,
    "^=": operator.ixor,
    "&=": operator.iand,
    "@=": operator.imatmul,
}


class RefusedError(Exception):
    """The code uses what is not allowed; the text says what, where, and what to write instead."""


def run(code: str, inputs: bytes, channel: python.Channel, calls: "list[str]") -> int:
    """Check and run the code, report through the channel, and return the exit code."""

    def call(name: str, /, **arguments: Any) -> Any:
        """Call a tool of the host; only its name and JSON copies of the arguments leave."""
        return channel.call(name, **arguments)

    try:
        checked = compile_code(code)
    except RefusedError as refused:
        sys.stderr.write(f"{refused}\n")
        python.flush()
        channel.problem("Refused", str(refused), explain.first_line(str(refused)))
        return 1
    except Exception as error:  # noqa: BLE001  # the parser's own limits: depth, NUL, memory
        python.explain(error, channel)
        python.flush()
        return 1
    names = {**globals_for_code(), "inputs": json.loads(inputs), "call": call}
    return python.report(lambda: _execute(checked, names, calls), channel)


def rehearse() -> None:
    """Do once what every run does, while nobody waits: the second time takes a fraction of the first."""
    checked = compile_code("total = 0\nfor a in inputs['a']:\n    total += a\ntotal")
    python.to_json(_execute(checked, {**globals_for_code(), "inputs": {"a": [1]}}, []))
    python.rehearse()


def compile_code(code: str) -> CodeType:
    """Compile under the policy.

    Raises:
        RefusedError: with every place that is not allowed.
        SyntaxError, ValueError, RecursionError, MemoryError: as the parser says.
    """
    tree: ast.Module = python.with_result(code)
    compiled = compile_restricted_exec(tree, python.NAME)
    if compiled.errors or compiled.code is None:
        raise RefusedError("\n".join(explain.compile_error(error) for error in compiled.errors))
    made: CodeType = compiled.code
    return made


def globals_for_code() -> "dict[str, Any]":
    """The names that restricted code starts with, the guards among them; new ones at each call."""
    allowed = {name: value for name, value in safe_builtins.items() if name not in _LESS}
    allowed |= {name: getattr(builtins, name) for name in _MORE}
    allowed["__import__"] = _import
    return {
        "__builtins__": allowed,
        "__name__": "restricted",
        "__metaclass__": _make_class,
        "_getattr_": safer_getattr_raise,  # the plain one turns what is missing into None
        "_getitem_": default_guarded_getitem,
        "_getiter_": default_guarded_getiter,
        "_iter_unpack_sequence_": guarded_iter_unpack_sequence,
        "_unpack_sequence_": guarded_unpack_sequence,
        "_write_": full_write_guard,
        "_inplacevar_": _in_place,
        "_apply_": _apply,
        "_print_": _Printer,
    }


def _execute(code: CodeType, names: "dict[str, Any]", calls: "list[str]") -> Any:
    """Run, and put what to write instead into the errors that have an answer."""
    try:
        return python.execute(code, names)
    except (NameError, NotImplementedError, AttributeError) as error:
        advice = explain.runtime_error(str(error), calls)
        if advice:
            raise type(error)(advice).with_traceback(error.__traceback__) from None
        raise


def _import(name: str, _globals: Any = None, _locals: Any = None, wanted: Any = (), level: int = 0) -> Any:
    """Give out a facade. `import a.b` binds `a`, so only whole names of the list will do."""
    found = facades.find(name) if level == 0 else None
    if found is None:
        raise ImportError(f"module {name!r} is not allowed; allowed: {', '.join(facades.NAMES)}")
    for part in wanted or ():
        if not hasattr(found, part):
            raise ImportError(f"{name} has no {part!r} here; it has: {', '.join(found.names())}")
    return found


def _make_class(name: str, bases: "tuple[type, ...]", body: "dict[str, Any]") -> type:
    """Make the code's own class, whose instances it may write to."""
    return type(name, bases, {**body, "_guarded_writes": 1})


def _in_place(op: str, value: Any, other: Any) -> Any:
    return _IN_PLACE[op](value, other)


def _apply(function: "Callable[..., Any]", *args: Any, **kwargs: Any) -> Any:
    return function(*args, **kwargs)


class _Printer:
    """What `print` becomes. Whatever file is asked for, the text goes to standard output."""

    def __init__(self, _guard: Any = None) -> None:
        pass

    def _call_print(self, *values: Any, sep: str = " ", end: str = "\n", **_other: Any) -> None:
        sys.stdout.write(sep.join(map(str, values)) + end)
