"""Promise: whoever writes restricted code is told what is not allowed, on which line, and what to write."""

import json

import pytest

from pratique.errors import CanonicalError
from pratique.sandbox.backend import Status
from pratique.sandbox.guest import facades
from pratique.sandbox.values import bounded_json
from tests.sandbox.places import Place


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("a = 1\nd = {}\nd['k'] += 1", "line 3: `a[k] += v` is not allowed; write `a[k] = a[k] + v`"),
        ("x: int = 1", "line 1: annotations of variables are not allowed; write `x = 1`"),
        ("async def f(): pass", "async is not allowed; write an ordinary function"),
        ("match 1:\n    case 1: pass", "match is not allowed; write if and elif"),
        ("exec('1')", "exec and eval are not allowed"),
        ("from math import *", "`import *` is not allowed; name what you need"),
        ("_x = 1", "the name _x is not allowed"),
        ("'{}'.format(1)", "`str.format` is closed (it reads attributes by name); use an f-string (line 1)"),
        ("open('x')", "files are closed to restricted code"),
        ("type(1)", "`type` is closed; use `isinstance"),
        ("import os", "module 'os' is not allowed; allowed: base64"),
        ("import json\njson.codecs", "'codecs' is not here; here are: JSONDecodeError, dumps, loads"),
        ("1 +", "invalid syntax"),
        ("_a = 1\n_b = 2", "line 2: the name _b"),
    ],
)
async def test_an_error_says_what_to_write_instead(restricted: Place, code: str, words: str) -> None:
    result = await restricted.code(code)
    assert result.status is Status.ERROR
    assert words in result.error


@pytest.mark.asyncio(loop_scope="session")
async def test_ordinary_code_runs(restricted: Place) -> None:
    code = """
import math, re, json, statistics
from datetime import date, timedelta
from decimal import Decimal
from collections import Counter, defaultdict

class Refund:
    def __init__(self, name, amount):
        self.name = name
        self.amount = amount
    def tax(self):
        return round(self.amount * 0.19, 2)

given = [{"name": "a", "amount": 10.0}, {"name": "b", "amount": 5}]
rows = [Refund(row["name"], row["amount"]) for row in given]
total = 0
for index, row in enumerate(rows):
    total += row.tax()
rows[0].amount = 11
first, *rest = [3, 1, 2]
groups = defaultdict(list)
groups["x"].append(1)
try:
    1 / 0
except ZeroDivisionError as error:
    caught = str(error)
print(f"{total:>8.2f}", end="")
result = {
    "total": total, "sorted": sorted(rest), "counted": Counter("aab").most_common(1),
    "date": str(date(2024, 2, 28) + timedelta(days=2)), "found": re.findall(r"\\d+", "a1b22"),
    "mean": statistics.mean([1, 2, 3]), "decimal": str(Decimal("1.10") + 1), "caught": caught,
    "lambda": list(map(lambda x: x * 2, [1, 2])), "set": sorted({1, 2} | {3}), "floor": math.floor(2.5),
}
"""
    result = await restricted.code(code)
    assert result.status is Status.OK, result.error
    assert result.stdout == b"    2.85"
    assert json.loads(result.value_json or b"")["counted"] == [["a", 2]]


def test_facades_are_frozen_and_lead_nowhere() -> None:
    for name in facades.NAMES:
        found = facades.find(name)
        assert found is not None
        assert found.names()
        with pytest.raises(AttributeError, match="cannot be set"):
            found.anything = 1
        with pytest.raises(AttributeError, match="cannot be deleted"):
            del found.anything
        for part in found.names():
            assert type(getattr(found, part)).__name__ != "module", f"{name}.{part} is a module"
    assert facades.find("os") is None


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"NaN", "NaN"),
        (b"[1, -Infinity]", "-Infinity"),
        (b"18446744073709551616", "64 bits"),
        (b"-9223372036854775809", "64 bits"),
        (b"[" * 10 + b"]" * 10, "nests deeper than 5"),
        (b"[" * 100_000 + b"]" * 100_000, "nests deeper"),
        (b'"' + b"x" * 300_000 + b'"', "are allowed"),
        (b"\xff", "not JSON"),
        (b"{", "not JSON"),
        (b"1 2", "not JSON"),
        (b'"\\ud800"', "not JSON"),
    ],
)
def test_a_value_that_is_not_portable_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(CanonicalError, match=words):
        bounded_json(data, size=250_000, depth=5)


def test_a_value_comes_out_as_our_own_bytes() -> None:
    assert bounded_json(b' { "a" : [ 1 , 2.50 ] } ', size=100, depth=5) == b'{"a":[1,2.5]}'
    assert bounded_json(b"18446744073709551615", size=100, depth=1) == b"18446744073709551615"
