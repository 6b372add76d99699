"""The examples of frameworks, each run as a reader would, and the README's pieces of them."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = ROOT / "examples" / "frameworks"
FILES = ["langchain_agent", "pydantic_ai_agent", "openai_agents_agent", "mcp_agent"]


@pytest.mark.parametrize("name", FILES)
def test_it_reads_looks_up_and_pays_after_a_yes(name: str) -> None:
    ran = subprocess.run(
        [sys.executable, EXAMPLES / f"{name}.py"], capture_output=True, text=True, timeout=100, check=False
    )
    assert ran.returncode == 0, ran.stderr
    first, *_, last = ran.stdout.splitlines()
    assert first.startswith("billing.refund waits for a person.")
    assert (
        "account: PT50 0002 0123 1234 5678 9015 4  (is a vouched value in customer:C-1001#account)"
        in ran.stdout
    )
    assert last == "Maria has her money back."


@pytest.mark.parametrize("name", FILES)
def test_the_readme_shows_the_file_that_runs(name: str) -> None:
    source = (EXAMPLES / f"{name}.py").read_text()
    piece = source.split("    # quick start\n")[1].split("        # end of quick start\n")[0]
    assert f"```python\n{textwrap.dedent(piece)}```" in (ROOT / "README.md").read_text()
