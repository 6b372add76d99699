"""Messages that the tests send around."""

from email.message import EmailMessage

PLAIN = (
    b"From: Ana <ana@acme.example>\r\nTo: kim@acme.example\r\nSubject: %b\r\n"
    b"Date: Fri, 20 Nov 2026 10:14:00 +0000\r\n\r\nHello\r\n"
)


def message(subject: str, body: str = "Hello\n", sender: str = "ana@acme.example") -> bytes:
    """Return a message with a subject and a text."""
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = sender, "kim@acme.example", subject
    made["Date"] = "Fri, 20 Nov 2026 10:14:00 +0000"
    made.set_content(body)
    return made.as_bytes()


def large(subject: bytes, size: int) -> bytes:
    """Return a message of at least some bytes, most of them an attachment."""
    head = PLAIN.partition(b"\r\n\r\n")[0] % subject
    line = b"A" * 76 + b"\r\n"
    return (
        head
        + b"\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=q\r\n\r\n"
        + b"--q\r\n\r\nsee file\r\n--q\r\n"
        + b'Content-Type: image/png; name="ship.png"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
        + line * (size // len(line) + 1)
        + b"--q--\r\n"
    )
