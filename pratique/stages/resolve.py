"""Stage 1: a request becomes a call, or says why it cannot.

Rules:
- The tool is looked up by its exact name; the arguments are validated from their canonical bytes.
- What is wrong with arguments is said by place and kind, never by repeating their text: it goes into the log.
- The digest covers who asks, for whom, in which session, which declaration, and every byte of the arguments.
"""

import hashlib

import orjson
from pydantic import ValidationError

from pratique.capabilities.labels import taint_of
from pratique.model import Call, Request, Unresolved
from pratique.tools.registry import Registry

MOST_PROBLEMS = 5


def resolve(request: Request, registry: Registry) -> Call | Unresolved:
    """Return the call that `request` asks for, with typed arguments and labels.

    Args:
        request: as it came in.
        registry: the tools that there are.
    """
    tool = registry.get(request.tool)
    if tool is None:
        return _unresolved(request, f"there is no tool {request.tool[:100]!r}")
    if request.problem:
        return _unresolved(request, f"{request.tool}: {request.problem}")
    try:
        arguments = tool.arguments.model_validate_json(request.args_json, strict=True)
    except ValidationError as problem:
        return _unresolved(request, f"{request.tool}: {_problems(problem)}")
    capability = tool.capability
    return Call(
        request=request,
        capability=capability,
        args=arguments,
        label=tool.label,
        taint=taint_of(request.context),
        digest=_digest(request, capability.digest),
    )


def _unresolved(request: Request, problem: str) -> Unresolved:
    return Unresolved(request=request, problem=problem, digest=_digest(request, ""))


def _digest(request: Request, tool_digest: str) -> str:
    subject = request.subject
    about = [
        "pratique call 1",
        subject.session,
        subject.agent,
        subject.tenant,
        subject.user,
        request.call_id,
        request.tool,
        tool_digest,
        request.args_json.decode(),
    ]
    return hashlib.sha256(orjson.dumps(about)).hexdigest()


def _problems(problem: ValidationError) -> str:
    found = problem.errors(include_input=False, include_url=False, include_context=False)
    lines = [f"{'.'.join(map(str, error['loc'])) or 'arguments'}: {error['msg']}" for error in found]
    more = f" (+{len(lines) - MOST_PROBLEMS} more)" if len(lines) > MOST_PROBLEMS else ""
    return "; ".join(line[:200] for line in lines[:MOST_PROBLEMS]) + more
