"""The protocol's own conformance tests (npm: @modelcontextprotocol/conformance) against `/mcp`."""

import asyncio
import json
import platform
from pathlib import Path
from typing import Any

import pytest

from pratique import ToolContext, ToolError, tool
from tests.house import POLICY, House
from tests.server.front import BASE, front_of
from tests.servers.machine import lacking
from tests.servers.npm import installed
from tests.servers.uvicorned import WithHeaders, serving

VERSION = "0.2.0-alpha.12"
NODE = "24.21.0"  # the suite wants a newer one than Debian has
ARCHITECTURES = {"x86_64": "x64", "aarch64": "arm64"}
KIM = "kim@acme.example"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@tool("test.simple_text", tier="read", sources={"*": "meta"})
async def simple_text(ctx: ToolContext) -> str:  # noqa: ARG001  # the suite's tool takes nothing
    """Return the text that the suite expects."""
    return "This is a simple text response for testing."


@tool("test.error_handling", tier="read", sources={"*": "meta"})
async def error_handling(ctx: ToolContext) -> str:  # noqa: ARG001  # as above
    """Fail as the suite expects."""
    raise ToolError("This tool intentionally returns an error for testing")


TOOLS_ALLOWED = """
[[allow]]
id = "suite"
to = "support"
tools = ["test.*"]
tier = "read"
confidentiality = "public"
taint = "sink"
"""

NO_RESOURCES = "tools are all that there is here: no resources, prompts, completions or log levels"
TEXT_ONLY = "a result is JSON, which a model reads as text: no tool gives images, sound or embedded resources"
NEVER_ASKED = "no model is used and no form is sent: all that a client is ever asked is to open a link"
NO_SUCH_TOOL = "needs a tool of the suite's own that has no place here"
NO_SESSION = "no transport session is kept, so no stream is taken up again; asking again finds the same call"

NOT_OURS = {
    **dict.fromkeys(
        (
            "completion-complete",
            "logging-set-level",
            "prompts-get-embedded-resource",
            "prompts-get-simple",
            "prompts-get-with-args",
            "prompts-get-with-image",
            "prompts-list",
            "resources-list",
            "resources-read-binary",
            "resources-read-text",
            "resources-subscribe",
            "resources-templates-read",
            "resources-unsubscribe",
            "sep-2322-non-tool-incomplete",
            "sep-2549-prompts-list-caching-hints",
            "sep-2549-resources-list-caching-hints",
            "sep-2549-resources-templates-list-caching-hints",
            "tools-call-with-logging",
        ),
        NO_RESOURCES,
    ),
    **dict.fromkeys(
        (
            "tools-call-audio",
            "tools-call-embedded-resource",
            "tools-call-image",
            "tools-call-mixed-content",
        ),
        TEXT_ONLY,
    ),
    **dict.fromkeys(
        (
            "elicitation-sep1034-general",
            "elicitation-sep1330-general",
            "sep-2322-elicitation-incomplete",
            "sep-2322-list-roots-incomplete",
            "sep-2322-multi-round-r1",
            "sep-2322-multiple-inputs-incomplete",
            "sep-2322-reject-tampered-state",
            "sep-2322-request-state-incomplete",
            "sep-2322-respect-client-capabilities",
            "sep-2322-result-type-included",
            "sep-2322-sampling-incomplete",
            "sep-2575-missing-capability-http-400",
            "sep-2575-server-rejects-undeclared-capability",
            "tools-call-elicitation",
            "tools-call-sampling",
        ),
        NEVER_ASKED,
    ),
    **dict.fromkeys(
        (
            "json-schema-2020-12-tool-found",
            "sep-2243-server-decode-base64",
            "sep-2243-server-no-xmcp-tool",
            "sep-2243-server-reject-invalid-param-chars",
            "sep-2243-server-reject-param-mismatch",
            "sep-2243-server-validate-param-match",
            "tools-call-with-progress",
        ),
        NO_SUCH_TOOL,
    ),
    "incoming-sse-event": NO_SESSION,
}
"""Checks that fail because they ask for something that this server does not do, and why it does not.

Our own tests hold what is near to them: `tests/adapters/test_mcp.py` asks by links, tampers with states, and
hears progress while a person is waited for.
"""

LEGACY_ONLY = frozenset(
    {
        "elicitation-sep1034-general",
        "elicitation-sep1330-general",
        "incoming-sse-event",
        "logging-set-level",
        "resources-subscribe",
        "resources-unsubscribe",
        "tools-call-elicitation",
        "tools-call-sampling",
        "tools-call-with-logging",
    }
)
MODERN_ONLY = frozenset(name for name in NOT_OURS if name.startswith("sep-"))


@pytest.mark.parametrize(
    ("version", "elsewhere", "at_least"), [("2025-11-25", MODERN_ONLY, 35), ("2026-07-28", LEGACY_ONLY, 85)]
)
async def test_every_check_passes_but_those_of_what_is_not_here(
    house: House, tmp_path: Path, version: str, elsewhere: frozenset[str], at_least: int
) -> None:
    await run(house, version, tmp_path)
    failed, passed = set(), 0
    for checks in results(tmp_path):
        broken = [check for check in checks if check["status"] == "FAILURE"]
        failed |= {f"{check['id']}: {check.get('errorMessage')}" for check in broken}
        passed += sum(check["status"] == "SUCCESS" for check in checks)
    expected = NOT_OURS.keys() - elsewhere
    assert {line for line in failed if line.partition(":")[0] not in expected} == set()
    assert {line.partition(":")[0] for line in failed} == expected
    assert passed >= at_least


def results(folder: Path) -> list[list[dict[str, Any]]]:
    """Return the checks of each scenario."""
    return [json.loads(path.read_bytes()) for path in sorted(folder.glob("*/checks.json"))]


async def run(house: House, version: str, folder: Path) -> None:
    """Run every scenario of a version, and leave what it says in the folder."""
    machine = ARCHITECTURES.get(platform.machine()) or lacking(f"no Node.js for {platform.machine()}")
    packages = installed("@modelcontextprotocol/conformance", VERSION, f"node-linux-{machine}@{NODE}")
    node = packages / "node_modules" / f"node-linux-{machine}" / "bin" / "node"
    script = packages / "node_modules" / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
    house.apply(POLICY + TOOLS_ALLOWED)
    runtime = house.runtime(tools=[simple_text, error_handling])
    async with front_of(runtime, public_url=BASE) as front, front.app.router.lifespan_context(front.app):
        key = front.key(acts_for=[KIM])
        async with serving(WithHeaders(front.app, {"authorization": f"Bearer {key.text}"})) as port:
            words = ["server", "--url", f"http://127.0.0.1:{port}/mcp", "--suite", "all"]
            words += ["--spec-version", version, "--timeout", "8000", "--output-dir", str(folder)]
            quiet = asyncio.subprocess.DEVNULL
            process = await asyncio.create_subprocess_exec(node, script, *words, stdout=quiet, stderr=quiet)
            await process.wait()
