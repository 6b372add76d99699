"""Named conditions on arguments, from a small expression language: never text that is evaluated.

    amount <= 50 and currency == 'EUR'

Rules:
- Python's own parser reads the expression; every node that is not on the list below is refused by name.
- Names are arguments, dotted names their fields. An argument that is absent is an error.
- A comparison is between values of one kind. `True` is not a number, NaN is not comparable: both are errors.
  So is looking for a value in a list that holds nothing of its kind: `['x'] not in ['x']` is no loophole.
- What an error means is the rule's business: an allow does not match, a deny and an ask do.
- Every term is evaluated, whatever the others say, so that an error is found in any order of terms.
- Sizes are bounded: 2,000 characters, 60 levels, no power, no repetition. Evaluation is linear in what it
  looks at.
"""

import ast
import inspect
import math
import operator
from collections.abc import Callable, Mapping
from reprlib import repr as brief
from threading import Lock
from types import MappingProxyType
from typing import Any

from pratique.errors import ConstraintError

Arguments = Mapping[str, Any]
Condition = Callable[[Arguments], bool]
_Node = Callable[[Arguments], Any]

MOST_CHARACTERS = 2000
DEEPEST = 60

_PARSING = Lock()
"""CPython before 3.12 can raise SystemError when two threads parse at the same time."""

_ORDERED = {ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge}
_WITH_ORDER = frozenset({float, str})
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
}


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ConstraintError(f"expected text, got {type(value).__name__}")
    return value


def _size(value: Any) -> int:
    if not isinstance(value, str | list | dict):
        raise ConstraintError(f"len() of {type(value).__name__}")
    return len(value)


def _only(values: Any, permitted: Any) -> bool:
    if not isinstance(values, list) or not isinstance(permitted, list):
        raise ConstraintError("only() takes two lists")
    return bool(values) and all([_member(value, permitted) for value in values])


FUNCTIONS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "len": _size,
        "lower": lambda value: _text(value).lower(),
        "startswith": lambda value, start: _text(value).startswith(_text(start)),
        "endswith": lambda value, end: _text(value).endswith(_text(end)),
        "only": _only,
    }
)
"""The functions of the language. `only(to, ['a', 'b'])`: not empty, and nothing but these."""


def compile_constraint(name: str, expression: str) -> Condition:
    """Return the condition that `expression` describes.

    Args:
        name: what the policy calls it; it stands in every error.
        expression: one expression in the language of this module.

    Returns:
        A function of the arguments that gives a bool or raises ConstraintError.

    Raises:
        ConstraintError: the expression is too long, does not parse or uses what is not in the language.
    """
    if len(expression) > MOST_CHARACTERS:
        raise ConstraintError(f"{name}: longer than {MOST_CHARACTERS} characters")
    try:
        with _PARSING:
            tree = ast.parse(expression.strip(), mode="eval")
        _refuse_depth(tree)
        node = _compile(tree.body)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as problem:
        raise ConstraintError(f"{name}: {expression!r} does not parse: {problem}") from problem
    except ConstraintError as problem:
        raise ConstraintError(f"{name}: {problem}") from None

    def condition(arguments: Arguments) -> bool:
        try:
            return _truth(node(arguments))
        except ConstraintError as problem:
            raise ConstraintError(f"{name}: {problem}") from None
        except (TypeError, ValueError, RecursionError, OverflowError) as problem:
            raise ConstraintError(f"{name}: {problem}") from problem

    return condition


def _refuse_depth(tree: ast.AST) -> None:
    """Refuse what would evaluate or not by how much of the stack is left."""
    level = [tree]
    for _ in range(DEEPEST):
        level = [child for node in level for child in ast.iter_child_nodes(node)]
        if not level:
            return
    raise ConstraintError(f"nested more than {DEEPEST} levels deep")


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ConstraintError(f"{brief(value)} is neither true nor false")
    return value


def _compile(node: ast.expr) -> _Node:  # noqa: C901, PLR0911  # one arm per kind of node: the language's table of contents
    match node:
        case ast.Constant(value=str() | int() | float() | None as value):
            return lambda _: value
        case ast.Name(id=name):
            return lambda arguments: _field(arguments, name)
        case ast.Attribute(value=inner, attr=name):
            of = _compile(inner)
            return lambda arguments: _field(of(arguments), name)
        case ast.List(elts=items) | ast.Tuple(elts=items):
            parts = [_compile(item) for item in items]
            return lambda arguments: [part(arguments) for part in parts]
        case ast.BoolOp(op=ast.And(), values=values):
            terms = [_compile(value) for value in values]
            return lambda arguments: all([_truth(term(arguments)) for term in terms])
        case ast.BoolOp(op=ast.Or(), values=values):
            terms = [_compile(value) for value in values]
            return lambda arguments: any([_truth(term(arguments)) for term in terms])
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            inverse = _compile(operand)
            return lambda arguments: not _truth(inverse(arguments))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            number = _compile(operand)
            return lambda arguments: -_number(number(arguments))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
            return _binary(_ARITHMETIC[type(op)], _compile(left), _compile(right))
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            return _comparison(_compile(left), ops, [_compile(item) for item in comparators])
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in FUNCTIONS:
            return _call(name, [_compile(item) for item in args])
    raise ConstraintError(f"{ast.unparse(node)!r} is not part of the language")


def _call(name: str, given: list[_Node]) -> _Node:
    function = FUNCTIONS[name]
    takes = len(inspect.signature(function).parameters)
    if len(given) != takes:
        raise ConstraintError(f"{name}() takes {takes}, got {len(given)}")
    return lambda arguments: function(*[item(arguments) for item in given])


def _field(of: Any, name: str) -> Any:
    if not isinstance(of, Mapping) or name not in of:
        raise ConstraintError(f"there is no argument {name!r}")
    return of[name]


def _number(value: Any) -> float | int:
    kind = type(value)
    if kind is int or (kind is float and math.isfinite(value)):
        return value  # type: ignore[no-any-return]  # its type was just looked at
    raise ConstraintError(f"{brief(value)} is not a number")


def _binary(apply: Callable[[Any, Any], Any], left: _Node, right: _Node) -> _Node:
    return lambda arguments: apply(_number(left(arguments)), _number(right(arguments)))


def _comparison(first: _Node, ops: list[ast.cmpop], rest: list[_Node]) -> _Node:
    compares = [_comparator(op) for op in ops]
    if len(rest) == 1:
        test, second = compares[0], rest[0]
        return lambda arguments: test(first(arguments), second(arguments))

    def compare(arguments: Arguments) -> bool:
        values = [first(arguments), *[item(arguments) for item in rest]]
        return all([test(a, b) for test, a, b in zip(compares, values, values[1:], strict=False)])

    return compare


def _comparator(op: ast.cmpop) -> Callable[[Any, Any], bool]:
    match op:
        case ast.Eq():
            return lambda a, b: _alike(*_same_kind(a, b))
        case ast.NotEq():
            return lambda a, b: not _alike(*_same_kind(a, b))
        case ast.In():
            return _member
        case ast.NotIn():
            return lambda a, b: not _member(a, b)
        case _ if type(op) in _ORDERED:
            order = _ORDERED[type(op)]
            return lambda a, b: bool(order(*_in_order(*_same_kind(a, b))))
    raise ConstraintError(f"{type(op).__name__} is not part of the language")


def _same_kind(a: Any, b: Any) -> tuple[Any, Any]:
    kind = _kind(a)
    if kind is not _kind(b):
        raise ConstraintError(f"cannot compare {brief(a)} with {brief(b)}")
    if kind is float:
        return _number(a), _number(b)
    if a is None:
        raise ConstraintError("a value is null")
    return a, b


def _in_order(a: Any, b: Any) -> tuple[Any, Any]:
    if _kind(a) not in _WITH_ORDER:
        raise ConstraintError(f"{brief(a)} is neither more nor less than anything")
    return a, b


def _member(item: Any, values: Any) -> bool:
    if isinstance(values, str):
        return _text(item) in values
    if not isinstance(values, list):
        raise ConstraintError(f"'in' needs a list or a text, got {type(values).__name__}")
    if values and _kind(item) not in map(_kind, values):
        raise ConstraintError(f"cannot look for {brief(item)} among {brief(values)}")
    return any([_alike(item, value) for value in values])


def _alike(a: Any, b: Any) -> bool:
    """Return whether two values are equal, where `True` is not 1 at any depth, and NaN is an error."""
    kind = _kind(a)
    if kind is not _kind(b):
        return False
    if kind is list:
        return len(a) == len(b) and all([_alike(x, y) for x, y in zip(a, b, strict=True)])
    if kind is dict:
        return a.keys() == b.keys() and all([_alike(value, b[key]) for key, value in a.items()])
    return bool(_number(a) == _number(b)) if kind is float else bool(a == b)


def _kind(value: Any) -> type:
    """Return the type of a JSON value; whole numbers are numbers."""
    kind = type(value)
    return float if kind is int else kind
