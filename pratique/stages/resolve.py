"""Stage 1: a request becomes a call, or says why it cannot.

Rules:
- The tool is looked up by its exact name; the arguments are validated from their canonical bytes.
- A reference is put in place of what was withheld before anything else looks at the arguments.
- What is wrong with arguments is said by place and kind, never by repeating their text: it goes into the log.
  Of arguments that hold what the agent is not shown, only by the argument's name and the kind: places below
  it, and a tool's own words, may be made of what is withheld.
- The digest covers who asks, for whom, in which session, which declaration, and every byte of the arguments.
"""

import hashlib

import orjson
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from pratique.audit.canonical import canonical
from pratique.capabilities.policy import Policy
from pratique.errors import CanonicalError
from pratique.model import Call, Code, Judged, Level, Reason, Request, Taint, Unresolved
from pratique.quarantine.reveal import UnresolvedReferenceError
from pratique.redaction import KINDS, redact
from pratique.stages.declared import Declared, declared
from pratique.stages.provenance import Provenance
from pratique.tools.registry import Registry

LONGEST_PROBLEM = 2000
MOST_PROBLEMS = 5
LARGEST_RESOLVED = 8 * 1024 * 1024
"""Bytes of arguments after references were put in."""


def resolve(
    request: Request, registry: Registry, provenance: Provenance, policy: Policy
) -> Call | Unresolved:
    """Return the call that `request` asks for, with typed arguments, their origins and its labels.

    Args:
        request: as it came in.
        registry: the tools that there are.
        provenance: the session's: it resolves references and says where arguments come from.
        policy: the policy in force, which may say what a tool's fields and arguments are.
    """
    tool = registry.get(request.tool)
    if tool is None:
        pins = registry.pins_of(request.tool)
        return _unresolved(request, registry.why_not(request.tool)).model_copy(update={"pins": pins})
    if request.problem:
        return _unresolved(request, f"{request.tool}: {request.problem}")
    try:
        request = _dereferenced(request, provenance)
        arguments = tool.arguments.model_validate_json(request.args_json, strict=True)
    except ValidationError as problem:
        said = _kinds(problem) if request.references else problems(problem)
        return _unresolved(request, f"{request.tool}: {said}")
    except (UnresolvedReferenceError, CanonicalError) as problem:
        return _unresolved(request, f"{request.tool}: {problem}")
    if request.code is not None and tool.capability.runs_in is not Level.INLINE:
        return _unresolved(
            request, f"{request.tool} runs in a {tool.capability.runs_in}: code cannot call it"
        )
    of = declared(tool, policy)
    judged = request.judged or _of_code(
        request.code,
        of,
        provenance.judge(
            tool, of, request.asked_json or request.args_json, request.args_json, policy, request.edited
        ),
    )
    if request.references:
        judged = judged.model_copy(update={"references": request.references})
    return Call(
        request=request,
        capability=tool.capability,
        args=arguments,
        label=tool.label,
        sinks=dict(of.sinks),
        judged=judged,
        digest=_digest(request, tool.capability.digest),
    )


def _of_code(code: Code | None, of: Declared, judged: Judged) -> Judged:
    """Return what is said of a call that code asks for: it is at least as tainted as the code.

    Nobody can say which of its arguments a program made of what. Once an argument of the program's own, or
    something that it was given, came from outside, whatever it puts into a sink counts as coming from there.
    """
    if code is None:
        return judged
    floor = code.taint
    if floor.rank >= Taint.ARGUMENT.rank:
        floor = Taint.SINK if of.sinks else Taint.ARGUMENT
    text = f"code asks that {code.tool} was handed (call {code.call_id}, taint {code.taint})"
    reason = Reason(rule="code", effect="ask", text=text)
    return judged.model_copy(
        update={"taint": Taint.highest(judged.taint, floor), "reasons": (reason, *judged.reasons)}
    )


def _dereferenced(request: Request, provenance: Provenance) -> Request:
    """Return the request with what its references stand for: that is what is shown, approved and run."""
    found = provenance.withheld.resolve(request.args_json)
    if found is None:
        return request
    resolved = canonical(found.arguments, most_bytes=LARGEST_RESOLVED)
    return request.model_copy(
        update={
            "args_json": resolved,
            "asked_json": request.args_json,
            "references": tuple(dict.fromkeys((*request.references, *found.references))),
        }
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


def problems(problem: ValidationError) -> str:
    """Say what is wrong, in words for the record, which is in clear: names of arguments may be anything."""
    found = problem.errors(include_input=False, include_url=False, include_context=False)
    lines = [f"{'.'.join(map(str, error['loc'])) or 'arguments'}: {_said(error)}" for error in found]
    more = f" (+{len(lines) - MOST_PROBLEMS} more)" if len(lines) > MOST_PROBLEMS else ""
    shown = (redact(line[:LONGEST_PROBLEM], kinds=KINDS)[:200] for line in lines[:MOST_PROBLEMS])
    return "; ".join(shown) + more


def _kinds(problem: ValidationError) -> str:
    """Say what is wrong by argument and kind of error, and no more: not where, nor how often."""
    found = problem.errors(include_input=False, include_url=False, include_context=False)
    names = ((str(error["loc"][0]) if error["loc"] else "arguments", error["type"]) for error in found)
    lines = dict.fromkeys(f"{redact(name, kinds=KINDS)[:200]}: {kind}" for name, kind in names)
    return "; ".join([*lines][:MOST_PROBLEMS]) + " (it was given by reference, so no more is said)"


def _said(error: ErrorDetails) -> str:
    """Say two of Pydantic's errors, the common ones, in words that say what to do."""
    if error["type"] == "missing":
        return "missing"
    if error["type"] in {"extra_forbidden", "unexpected_keyword_argument"}:
        return "not an argument of this tool"
    return error["msg"]
