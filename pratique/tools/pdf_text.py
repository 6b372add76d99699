"""The text of a PDF, taken out in a sandbox: the file is a stranger's, and so is whatever reads it wrongly.

Rules:
- pypdf (pure Python) runs inside, never in this process; it is handed in as one archive beside the file.
- The sandbox reaches nothing, also where the tool itself declares hosts.
- Pages, text, memory and time are bounded. What was cut is said; what could not be read is said and gives no
  text.
"""

import io
import zipfile
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import orjson

from pratique.errors import SandboxStoppedError, SandboxUnavailableError
from pratique.sandbox.backend import File, Limits, Status, Work
from pratique.tools.context import ToolContext

MOST_TEXT = 256 * 1024
MOST_PAGES = 500
LARGEST = 16 * 1024 * 1024
SECONDS = 20.0
MEMORY = 512 << 20

_LIBRARY, _FILE = "pypdf.zip", "file.pdf"

_CODE = """
import logging, sys, time
sys.path.insert(0, inputs["library"])
logging.disable(logging.CRITICAL)
import pypdf
reader = pypdf.PdfReader(inputs["file"])
texts, size, problems, ends = [], 0, [], time.monotonic() + inputs["seconds"]
if reader.is_encrypted and not reader.decrypt(""):
    raise ValueError("it is encrypted")
count = len(reader.pages)
for number in range(min(count, inputs["pages"])):
    if size >= inputs["text"] or time.monotonic() > ends:
        problems.append(f"only the first {number:,} of {count:,} pages were read")
        break
    try:
        text = reader.pages[number].extract_text()
    except Exception as problem:
        problems.append(f"page {number + 1} cannot be read ({type(problem).__name__})")
        if len(problems) > 20:
            problems.append("the pages after that were not read")
            break
        continue
    texts.append(text)
    size += len(text)
else:
    if count > inputs["pages"]:
        problems.append(f"only the first {inputs['pages']:,} of {count:,} pages were read")
text = "\\n\\n".join(texts).encode("utf-8", "replace").decode()
if len(text) > inputs["text"]:
    problems.append(f"the text is cut at {inputs['text']:,} characters")
result = {"text": text[:inputs["text"]], "pages": count, "problems": problems}
"""


class PdfText(NamedTuple):
    """What a PDF says; `problems` in our words: nothing of the file stands in them."""

    text: str
    pages: int
    problems: list[str]


async def pdf_text(ctx: ToolContext, data: bytes) -> PdfText:
    """Return the text of a PDF.

    Args:
        ctx: of a tool that declares `runs_in="jail"` or more.
        data: the file.
    """
    if len(data) > LARGEST:
        return _nothing(f"it has {len(data):,} bytes; at most {LARGEST:,} are read")
    work = Work(
        code=_CODE,
        inputs=orjson.dumps(
            {
                "library": _LIBRARY,
                "file": _FILE,
                "pages": MOST_PAGES,
                "text": MOST_TEXT,
                "seconds": SECONDS / 2,
            }
        ),
        files=(File(path=_LIBRARY, data=_library()), File(path=_FILE, data=data)),
    )
    limits = Limits(wall=SECONDS, cpu=SECONDS, memory=MEMORY, result=4 * MOST_TEXT + 64 * 1024, output=4096)
    try:
        ran = await ctx.sandbox.run(work, limits=limits, alone=True)
    except SandboxUnavailableError as problem:
        return _nothing(str(problem))
    except SandboxStoppedError as problem:
        return _nothing(f"reading it was stopped: {problem}")
    if ran.status is not Status.OK or not ran.value_json:
        return _nothing("it cannot be read as a PDF")
    found = orjson.loads(ran.value_json)
    return PdfText(
        str(found["text"])[:MOST_TEXT], int(found["pages"]), [str(line)[:200] for line in found["problems"]]
    )


def _nothing(why: str) -> PdfText:
    return PdfText("", 0, [f"its text was not extracted: {why}"])


@cache
def _library() -> bytes:
    """Return pypdf as an archive that Python imports from.

    Raises:
        RuntimeError: it is not installed.
    """
    found = find_spec("pypdf")
    if found is None or found.origin is None:
        raise RuntimeError("reading PDF needs pypdf: pip install 'pratique[mail]'")
    folder = Path(found.origin).parent
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*.py")):
            archive.write(path, Path("pypdf") / path.relative_to(folder))
    return packed.getvalue()
