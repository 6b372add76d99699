"""Tells the author of restricted code what is not allowed, where, and what to write instead.

Rules:
- One line for each place, the line's number first.
- Each has an alternative that works under the same policy; where there is none, it says so.
"""

import re

_LINE = re.compile(r"^Line (\d+|None): (.*)$", re.DOTALL)

# What RestrictedPython says, and what to do about it.
_ADVICE = (
    (
        r'"(?P<name>.*?)" is an invalid (variable|attribute) name because it (starts|ends)',
        "the name {name} is not allowed: names that begin with an underscore are closed; choose another name",
    ),
    (r'"(?P<name>.*?)" is a reserved name', "the name {name} is reserved; choose another name"),
    (
        r'"(?P<name>.*?)" is a restricted name',
        "the attribute {name} is not allowed: frames and code objects are closed; there is no other way",
    ),
    (
        r"Augmented assignment of object items",
        "`a[k] += v` is not allowed; write `a[k] = a[k] + v`",
    ),
    (
        r"Augmented assignment of attributes",
        "`a.b += v` is not allowed; write `a.b = a.b + v`",
    ),
    (r"AnnAssign statements", "annotations of variables are not allowed; write `x = 1` without the type"),
    (r"(AsyncFunctionDef|AsyncFor|AsyncWith|Await) ", "async is not allowed; write an ordinary function"),
    (r"Match statements", "match is not allowed; write if and elif"),
    (r"TryStar statements", "except* is not allowed; write except"),
    (r"Nonlocal statements", "nonlocal is not allowed; return the value, or keep it in a dict"),
    (r"TypeAlias statements", "type aliases are not allowed; leave the types out"),
    (r"(Exec|Eval) calls", "exec and eval are not allowed; write the code itself"),
    (r'"\*" imports', "`import *` is not allowed; name what you need"),
    (r'keyword argument "metaclass"', "metaclasses are not allowed; write a plain class"),
    (r"Assignment expressions are only", "`:=` may only set a plain name; write an assignment of its own"),
    (r"Unpacking in comprehensions", "unpacking in a comprehension is not allowed; write a loop"),
    (r"SyntaxError: (?P<name>.*?)( at statement: .*)?$", "not Python: {name}"),
)

_MISSING = {
    "open": "files are closed to restricted code; use `inputs` and `result`",
    "type": "`type` is closed; use `isinstance(value, kind)`",
    "getattr": "`getattr` is closed; write the attribute's name, or use a dict",
    "hasattr": "`hasattr` is closed; use `isinstance`, or a dict and `in`",
    "setattr": "`setattr` is closed; use a dict",
    "delattr": "`delattr` is closed; use a dict",
    "vars": "`vars` is closed; use a dict",
    "dir": "`dir` is closed; there is no other way",
    "globals": "`globals` is closed; pass values as arguments",
    "locals": "`locals` is closed; pass values as arguments",
    "compile": "`compile` is closed; write the code itself",
    "eval": "`eval` is closed; write the code itself, or parse data with json",
    "exec": "`exec` is closed; write the code itself",
    "format": "`format` is closed; use an f-string",
    "input": "`input` is closed; values come in `inputs`",
    "super": "`super` is closed; call the other class by its name",
    "memoryview": "`memoryview` is closed; use bytes",
    "breakpoint": "`breakpoint` is closed; use print",
    "id": "`id` is closed; compare with `is`",
}


def compile_error(message: str) -> str:
    """Return one line: where, what, and what to write instead."""
    found = _LINE.match(message)
    line, said = (found.group(1), found.group(2)) if found else ("None", message)
    where = "" if line == "None" else f"line {line}: "
    for pattern, advice in _ADVICE:
        match = re.search(pattern, said)
        if match:
            return where + advice.format(**match.groupdict())
    return where + said.replace(" statements are not allowed.", " is not allowed; there is no other way here")


def runtime_error(message: str, calls: "list[str]") -> str:
    """Return advice for an error at run time, or nothing when there is none to give."""
    missing = re.fullmatch(r"name '(\w+)' is not defined.*", message)
    if missing:
        name = missing.group(1)
        tools = f"; the tools are called by `call(name, ...)`: {', '.join(calls)}" if calls else ""
        return _MISSING.get(name, f"name {name!r} is not defined{tools}")
    if "format*() methods" in message:
        return "`str.format` is closed (it reads attributes by name); use an f-string"
    hidden = re.search(r'"(.*?)" is an invalid attribute name', message)
    if hidden:
        return (
            f"the attribute {hidden.group(1)} is not allowed: names that begin with an underscore are closed"
        )
    if "attribute-less object" in message:
        return "this object cannot be written to; use a dict, a list, or a class of your own"
    return ""


def first_line(text: str) -> int:
    """The number of the first line that an explanation names, 0 when it names none."""
    found = re.search(r"line (\d+):", text)
    return int(found.group(1)) if found else 0
