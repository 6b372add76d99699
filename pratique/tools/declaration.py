"""Declaring a tool: the decorator, the schema that follows from the type hints, and what it must say.

Rules:
- Arguments are validated strictly from their canonical JSON: no coercion, no unknown names.
- The digest covers the whole declaration: a tool that changes is another tool to every approval.
- A tool is called by the runtime only. The decorated name is a declaration, not a function.
"""

import hashlib
import inspect
import re
import typing
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    PydanticSchemaGenerationError,
    PydanticUserError,
    TypeAdapter,
    create_model,
)

from pratique.audit.canonical import canonical
from pratique.capabilities.fields import Shape
from pratique.capabilities.schema_names import named
from pratique.errors import CanonicalError, ToolDeclarationError
from pratique.model import ArgumentClass, Capability, Confidentiality, FieldLabel, Label, Level, Tier
from pratique.tools.context import ToolContext
from pratique.words import ANY

NAME = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)+")
HOST = re.compile(r"([a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")
NO_NETWORK = "a container has no network, and the one stream of its own carries no connections"
LARGEST_SCHEMA = 256 * 1024

Sources = Mapping[str, str] | Sequence[str]


class Arguments(BaseModel):
    """Base of every tool's arguments."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class Tool:
    """A declared tool.

    Args:
        capability: what it needs and reaches.
        arguments: the model that its arguments are validated with.
        function: the body; called with a context and the validated arguments.
        preview: says what a call will change; called like the body, with handles that only read.
        returns: JSON Schema of its result, by the body's type hint; None where that says nothing. It is
            told to clients, and not part of the digest: it says nothing of what runs.

    `label` is the least label of what it returns, `shape` says which fields of it come from outside; `named`
    is every name that the schema of its arguments has: any other name in them was made up by whoever calls.
    """

    def __init__(
        self,
        capability: Capability,
        arguments: type[BaseModel],
        function: Callable[..., Any],
        preview: Callable[..., Any] | None = None,
        returns: Mapping[str, Any] | None = None,
    ) -> None:
        self.preview, self.returns = preview, returns
        self.capability = capability
        self.arguments = arguments
        self.function = function
        self.shape = Shape(capability.sources)
        self.label = Label(confidentiality=capability.confidentiality)
        self.is_async = inspect.iscoroutinefunction(function)
        self.names = tuple(arguments.model_fields)
        self.named = named(capability.parameters)

    def __repr__(self) -> str:
        return f"<tool {self.capability.name} ({self.capability.tier})>"


def tool(  # noqa: PLR0913  # one keyword per fact of a declaration
    name: str,
    *,
    tier: Tier | Literal["read", "egress", "write", "irreversible"],
    confidentiality: Confidentiality | Literal["public", "internal", "confidential", "restricted"] = (
        Confidentiality.INTERNAL
    ),
    clearance: Confidentiality | Literal["public", "internal", "confidential", "restricted"] = (
        Confidentiality.INTERNAL
    ),
    sources: Sources = (),
    ids: Mapping[str, str] | None = None,
    sinks: Mapping[str, str] | None = None,
    hosts: Iterable[str] = (),
    private: Iterable[str] = (),
    paths: Mapping[str, Literal["read", "write"]] | None = None,
    secrets: Iterable[str] = (),
    runs_in: Level | Literal["inline", "restricted", "jail", "container"] = Level.INLINE,
    calls: Iterable[str] = (),
    takes_idempotency_key: bool = False,
    endorses: bool = False,
    timeout: float = 30.0,
    result_limit: int = 1024 * 1024,
    preview: Callable[..., Any] | None = None,
) -> Callable[[Callable[..., Any]], Tool]:
    """Declare a tool: what it needs, what it reaches, and what of its result comes from outside.

        @tool("mail.send", tier="irreversible", sinks={"to": "dest"}, paths={"outbox": "write"})
        async def send(ctx: ToolContext, to: list[str], subject: str, body: str) -> dict[str, str]:
            \"\"\"Send a message.\"\"\"

    Args:
        name: dotted name.
        tier: what a call can do to the world.
        confidentiality: the class of what it returns. Of a `restricted` result, every value is watched for.
        clearance: the highest class of value that may leave through its arguments without a question.
        sources: result field → `FieldLabel`, or a list of fields that are `untrusted` while the rest is
            `meta`. Left out, everything it returns is untrusted.
        ids: record in the result → its name as a source: `{"messages[]": "email:{id}"}`.
        sinks: argument → `ArgumentClass`, for arguments that decide where things go; a selector may name its
            type of record: `selector:message`.
        hosts: `host` or `host:port` that its HTTP client may reach, at a public address.
        private: more of them, which may be in the own network or on this machine.
        paths: file root → `read` or `write`.
        secrets: names of secrets it may ask for.
        runs_in: the weakest isolation for the code that it is handed, which it runs with `ctx.sandbox`.
        calls: tools that this code may call with `call(name, **arguments)`. Each such call is one of the same
            session: decided, asked, recorded like any other. Only tools that run inline can be called.
        takes_idempotency_key: running it twice with one call id is harmless.
        endorses: its result is one of a few values that you declare, whatever it is given: what was withheld
            from the agent may come out of it as one of them (`pratique.tools.endorse`).
        timeout: seconds that a run may take.
        result_limit: bytes of JSON that a result may have.
        preview: says what a call will change, in a sentence or a diff: called before people are asked, with
            the same arguments and a context whose handles only read. What it returns stands on the card, and
            is part of what is approved: it must say the same while nothing changes.

    Raises:
        ToolDeclarationError: something of it cannot be registered.
    """

    def make(function: Callable[..., Any]) -> Tool:
        arguments = _arguments(name, function)
        own, may_call = tuple(private), tuple(calls)
        facts = {
            "name": name,
            "description": _description(function, may_call),
            "tier": Tier(tier),
            "confidentiality": Confidentiality(confidentiality),
            "clearance": Confidentiality(clearance),
            "sources": _sources(sources),
            "ids": dict(ids or {}),
            "sinks": {argument: str(word) for argument, word in (sinks or {}).items()},
            "hosts": (*hosts, *own),
            "private": own,
            "paths": dict(paths or {}),
            "secrets": tuple(secrets),
            "runs_in": Level(runs_in),
            "calls": may_call,
            "takes_idempotency_key": takes_idempotency_key,
            "timeout": timeout,
            "result_limit": result_limit,
            "parameters": arguments.model_json_schema(),
        }
        says = {name: True for name, said in (("preview", preview), ("endorses", endorses)) if said}
        capability = Capability(**facts, endorses=endorses, digest=_digest(facts | says))
        _check(capability)
        if preview is not None:
            _check_preview(name, function, preview)
        return Tool(capability, arguments, function, preview, _returned(function))

    def declare(function: Callable[..., Any]) -> Tool:
        try:
            return make(function)
        except (CanonicalError, ValueError, NameError) as problem:  # a word that is none, a type that is none
            raise ToolDeclarationError(f"{name}: {str(problem).splitlines()[0]}") from problem

    return declare


def _description(function: Callable[..., Any], calls: tuple[str, ...]) -> str:
    """Return what the agent reads about a tool: its docstring, and what code that it hands over may call."""
    text = inspect.getdoc(function) or ""
    if not calls:
        return text
    return f"{text}\n\nThe code may use `call(name, **arguments)` for: {', '.join(calls)}."


def _arguments(name: str, function: Callable[..., Any]) -> type[BaseModel]:
    """Build the model of a tool's arguments from its signature, without the context parameter."""
    signature = inspect.signature(function)
    hints = typing.get_type_hints(function, include_extras=True)
    parameters = list(signature.parameters.values())
    if not parameters or hints.get(parameters[0].name) is not ToolContext:
        raise ToolDeclarationError(f"{name}: the first parameter must be a ToolContext")
    fields: dict[str, Any] = {}
    for parameter in parameters[1:]:
        if parameter.kind is not parameter.POSITIONAL_OR_KEYWORD:
            raise ToolDeclarationError(f"{name}: the parameter {parameter} cannot be declared; name each one")
        if parameter.name.startswith("_"):
            raise ToolDeclarationError(f"{name}: the parameter {parameter.name!r} begins with an underscore")
        if parameter.name not in hints:
            raise ToolDeclarationError(f"{name}: the parameter {parameter.name!r} has no type")
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[parameter.name] = (hints[parameter.name], default)
    try:
        with warnings.catch_warnings():
            # An argument may be called `json` or `copy`; nobody calls the model's methods of that name.
            warnings.filterwarnings("ignore", message=".* shadows an attribute in parent")
            return create_model(f"{name}.arguments", __base__=Arguments, **fields)
    except (PydanticSchemaGenerationError, PydanticUserError, TypeError, NameError) as problem:
        raise ToolDeclarationError(f"{name}: the arguments have no schema: {problem}") from problem


def _returned(function: Callable[..., Any]) -> dict[str, Any] | None:
    """Return the JSON Schema of what the body says that it returns; None if it says nothing that has one."""
    said = typing.get_type_hints(function, include_extras=True).get("return", Any)
    try:
        return TypeAdapter(said).json_schema(mode="serialization") or None
    except PydanticUserError:
        return None


def _check_preview(name: str, function: Callable[..., Any], preview: Callable[..., Any]) -> None:
    body, says = (list(inspect.signature(one).parameters) for one in (function, preview))
    if body[1:] != says[1:]:
        raise ToolDeclarationError(
            f"{name}: its preview must take the arguments that it takes: {', '.join(body)}"
        )


def _sources(sources: Sources) -> dict[str, str]:
    if isinstance(sources, Mapping):
        return dict(sources)
    if isinstance(sources, str):
        raise ToolDeclarationError(f"sources: {sources!r} is one word; give a list of fields")
    if not sources:
        return {}
    return {**dict.fromkeys(sources, FieldLabel.UNTRUSTED.value), "*": FieldLabel.META.value}


def _digest(facts: Mapping[str, Any]) -> str:
    plain = {key: _plain(value) for key, value in facts.items()}
    return hashlib.sha256(canonical(plain, most_bytes=LARGEST_SCHEMA)).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, str) else value


def _check(capability: Capability) -> None:
    name = capability.name
    if not NAME.fullmatch(name):
        raise ToolDeclarationError(f"{name!r}: a tool's name is dotted and lower case, like mail.send")
    _check_sinks(capability)
    for host in capability.hosts:
        if not HOST.fullmatch(host):
            raise ToolDeclarationError(f"{name}: {host!r} is not host or host:port")
    for root, access in capability.paths.items():
        if access not in {"read", "write"}:
            raise ToolDeclarationError(f"{name}: paths[{root!r}] is {access!r}; say read or write")
    if "write" in capability.paths.values() and capability.tier.rank < Tier.WRITE.rank:
        raise ToolDeclarationError(f"{name}: writes to a file root, so its tier is at least write")
    _check_calls(capability)
    if capability.runs_in is Level.CONTAINER and capability.hosts:
        raise ToolDeclarationError(f"{name}: {NO_NETWORK}; hosts can be granted to a jail")
    if capability.runs_in is not Level.INLINE and capability.hosts and capability.tier is Tier.READ:
        raise ToolDeclarationError(f"{name}: its code can send to its hosts, so its tier is at least egress")
    if not capability.timeout > 0 or capability.result_limit <= 0:
        raise ToolDeclarationError(f"{name}: timeout and result_limit are positive")


def _check_calls(capability: Capability) -> None:
    name = capability.name
    if capability.calls and capability.runs_in is Level.INLINE:
        raise ToolDeclarationError(f'{name}: calls are for code in a sandbox: say runs_in="jail"')
    for called in capability.calls:
        if not NAME.fullmatch(called):
            raise ToolDeclarationError(f"{name}: calls: {called!r} is no tool's name; patterns are not taken")


def _check_sinks(capability: Capability) -> None:
    known = capability.parameters.get("properties", {})
    for argument, word in capability.sinks.items():
        if argument != ANY and re.split(r"[.\[]", argument)[0] not in known:
            raise ToolDeclarationError(f"{capability.name}: the sink {argument!r} is no argument")
        if word.partition(":")[0] not in list(ArgumentClass):
            words = ", ".join(ArgumentClass)
            raise ToolDeclarationError(f"{capability.name}: sinks[{argument!r}] is {word!r}; say {words}")
