"""Named conditions on arguments, from a small expression language: never text that is evaluated.

    amount <= 50 and currency == 'EUR'

Rules:
- Python's own parser reads the expression; every node that is not on the list below is refused by name.
- Names are arguments, dotted names their fields. An argument that is absent is an error.
- A comparison is between values of one kind. `True` is not a number, NaN is not comparable: both are errors.
- What an error means is the rule's business: an allow does not match, a deny and an ask do.
- Every term is evaluated, whatever the others say, so that an error is found in any order of terms.
- Sizes are bounded: 2,000 characters, no power, no repetition. Evaluation is linear in the arguments.
"""

import ast
import math
import operator
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from pratique.errors import ConstraintError

Arguments = Mapping[str, Any]
Condition = Callable[[Arguments], bool]
_Node = Callable[[Arguments], Any]

MOST_CHARACTERS = 2000

_ORDERED = {ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge}
_EQUAL = {ast.Eq: operator.eq, ast.NotEq: operator.ne}
_MEMBER: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}
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
    return bool(values) and all(value in permitted for value in values)


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
        tree = ast.parse(expression.strip(), mode="eval")
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


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ConstraintError(f"{value!r} is neither true nor false")
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
            function, given = FUNCTIONS[name], [_compile(item) for item in args]
            return lambda arguments: function(*[item(arguments) for item in given])
    raise ConstraintError(f"{ast.unparse(node)!r} is not part of the language")


def _field(of: Any, name: str) -> Any:
    if not isinstance(of, Mapping) or name not in of:
        raise ConstraintError(f"there is no argument {name!r}")
    return of[name]


def _number(value: Any) -> float | int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ConstraintError(f"{value!r} is not a number")
    return value


def _binary(apply: Callable[[Any, Any], Any], left: _Node, right: _Node) -> _Node:
    return lambda arguments: apply(_number(left(arguments)), _number(right(arguments)))


def _comparison(first: _Node, ops: list[ast.cmpop], rest: list[_Node]) -> _Node:
    compares = [_comparator(op) for op in ops]

    def compare(arguments: Arguments) -> bool:
        values = [first(arguments), *[item(arguments) for item in rest]]
        return all([test(a, b) for test, a, b in zip(compares, values, values[1:], strict=False)])

    return compare


def _comparator(op: ast.cmpop) -> Callable[[Any, Any], bool]:
    kind = type(op)
    if kind in _ORDERED:
        return lambda a, b: bool(_ORDERED[kind](*_same_kind(a, b)))
    if kind in _EQUAL:
        return lambda a, b: bool(_EQUAL[kind](*_same_kind(a, b)))
    if kind in _MEMBER:
        return lambda a, b: _MEMBER[kind](a, _collection(a, b))
    raise ConstraintError(f"{kind.__name__} is not part of the language")


def _same_kind(a: Any, b: Any) -> tuple[Any, Any]:
    if a is None or b is None:
        raise ConstraintError("a value is null")
    if isinstance(a, str | bool | list | dict) or isinstance(b, str | bool | list | dict):
        if type(a) is not type(b):
            raise ConstraintError(f"cannot compare {a!r} with {b!r}")
        return a, b
    return _number(a), _number(b)


def _collection(item: Any, values: Any) -> Any:
    if isinstance(values, str):
        _text(item)
        return values
    if not isinstance(values, list):
        raise ConstraintError(f"'in' needs a list or a text, got {type(values).__name__}")
    return [value for value in values if _kind(value) is _kind(item)]


def _kind(value: Any) -> type:
    return float if type(value) is int else type(value)
