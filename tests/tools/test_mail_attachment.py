"""Promise: a PDF is read in a jail, whatever is in it; what is not read is said."""

import zlib
from collections.abc import AsyncIterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import orjson
import pytest

from pratique.model import Status
from pratique.sandbox.ladder import Ladder
from pratique.tools.context import World
from pratique.tools.email_attachments import read_attachment
from pratique.tools.execution import Executor
from tests.tools.conftest import call_of

pytestmark = pytest.mark.usefixtures("a_jail")


@pytest.fixture
async def executor(tmp_path: Path) -> AsyncIterator[Executor]:
    for name in ("cur", "new", "tmp"):
        (tmp_path / name).mkdir()
    made = Executor(World({"maildir": tmp_path}), Ladder(warm=0))
    yield made
    await made.aclose()


def pdf(*pages: str, extra: bytes = b"", stream: bytes | None = None) -> bytes:
    """Return a small PDF, written by hand, one line of text a page."""
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>"]
    kids = " ".join(f"{4 + 2 * number} 0 R" for number in range(len(pages)))
    objects.append(f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode())
    objects.append(b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>")
    for number, text in enumerate(pages):
        content = stream if stream is not None else f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET".encode()
        packed = zlib.compress(content)
        about = f"/Resources << /Font << /F1 3 0 R >> >> /Contents {5 + 2 * number} 0 R"
        objects.append(f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] {about} >>".encode())
        head = f"<< /Length {len(packed)} /Filter /FlateDecode >>\nstream\n".encode()
        objects.append(head + packed + b"\nendstream")
    body, places = b"%PDF-1.4\n", []
    for number, item in enumerate(objects, 1):
        places.append(len(body))
        body += b"%d 0 obj\n" % number + item + b"\nendobj\n"
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    start = len(body)
    size = len(objects) + 1
    return (
        body + extra + b"xref\n0 %d\n0000000000 65535 f \n" % size + table
        + b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (size, start)
    )  # fmt: skip


def letter(folder: Path, *attachments: tuple[str, str, bytes]) -> None:
    message = EmailMessage()
    message["From"], message["Subject"] = "eve@evil.example", "the invoice"
    message.set_content("See the file.")
    for name, kind, data in attachments:
        main, _, sub = kind.partition("/")
        message.add_attachment(data, maintype=main, subtype=sub, filename=name)
    (folder / "cur" / "1700000000.a:2,S").write_bytes(message.as_bytes())


async def read(executor: Executor, tmp_path: Path, data: bytes, number: int = 0) -> dict[str, Any]:
    letter(tmp_path, ("bill.pdf", "application/pdf", data))
    done = await executor.run(
        read_attachment, call_of(read_attachment, {"id": "inbox/1700000000.a", "number": number})
    )
    assert done.status is Status.DONE, done.error
    return dict(orjson.loads(done.value_json))


async def test_the_text_of_a_pdf(executor: Executor, tmp_path: Path) -> None:
    found = await read(executor, tmp_path, pdf("Please pay to LT12 1000 0111", "second page"))
    assert found["text"] == "Please pay to LT12 1000 0111\n\nsecond page"
    assert (found["pages"], found["problems"], found["name"]) == (2, [], "bill.pdf")


HOSTILE = {
    "no PDF at all": b"%PDF-1.4 and then nothing",
    "cut in the middle": pdf("one", "two")[:300],
    "a page tree that holds itself": pdf("one").replace(b"/Kids [4 0 R]", b"/Kids [2 0 R]"),
    "a bomb: a gigabyte of spaces in a megabyte": pdf("one", stream=b" " * (1 << 30)),
}


@pytest.mark.slow
@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
async def test_a_hostile_pdf_gives_a_problem_and_no_more(
    executor: Executor, tmp_path: Path, data: bytes
) -> None:
    found = await read(executor, tmp_path, data)
    assert found["problems"]
    assert found["text"].strip() == ""


@pytest.mark.slow
async def test_many_pages_are_cut_and_it_is_said(executor: Executor, tmp_path: Path) -> None:
    found = await read(executor, tmp_path, pdf(*["page"] * 600))
    assert found["pages"] == 600
    assert "of 600 pages were read" in found["problems"][-1]
    assert found["text"].count("page") <= 500


async def test_a_number_that_is_not_there_and_a_file_that_is_no_text(
    executor: Executor, tmp_path: Path
) -> None:
    letter(
        tmp_path,
        ("a.html", "text/html", b"<p>pay <b>now</b></p><!-- hidden -->"),
        ("b.bin", "image/png", b"\x89PNG"),
    )
    ran = [
        await executor.run(
            read_attachment, call_of(read_attachment, {"id": "inbox/1700000000.a", "number": number})
        )
        for number in range(3)
    ]
    html, picture = (orjson.loads(one.value_json) for one in ran[:2])
    assert html["text"].strip() == "pay now"
    assert "not extracted" in picture["problems"][0]
    assert (ran[2].status, "no attachment number 2" in ran[2].error) == (Status.FAILED, True)


def test_what_it_gives_is_the_senders() -> None:
    assert read_attachment.shape.foreign
    assert set(read_attachment.capability.sources) == {"id", "number", "bytes", "pages", "problems"}
