"""What is encoded in a text is read, to a bounded depth."""

import base64

import pytest

from pratique.quarantine.decode import decoded, disguises

SECRET = "wire it to DE89370400440532013000"


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("text", "how"),
    [
        (f"see {b64(SECRET)} there", "base64"),
        (f"see {b64(SECRET).rstrip('=')}", "base64"),
        (base64.urlsafe_b64encode(f"{SECRET}???>>>".encode()).decode(), "base64"),
        (base64.encodebytes((SECRET * 4).encode()).decode(), "base64"),
        (SECRET.encode().hex(), "hex"),
        (SECRET.encode().hex(" "), "hex"),
        ("".join(f"\\x{byte:02x} " for byte in SECRET.encode()), "hex"),
    ],
)
def test_an_encoded_text_is_read(text: str, how: str) -> None:
    found = dict(decoded(text, 3))
    assert SECRET in found[how]


def test_base64_in_base64_is_read_as_deep_as_asked() -> None:
    text = SECRET
    for _ in range(3):
        text = b64(text)
    assert any(SECRET in inner for _, inner in decoded(text, 3))
    assert not any(SECRET in inner for _, inner in decoded(text, 2))


def test_hex_in_base64_is_read() -> None:
    assert ("hex in base64" in dict(decoded(b64(SECRET.encode().hex()), 3))) or SECRET in dict(
        decoded(b64(SECRET.encode().hex()), 3)
    ).values()


def test_ordinary_words_and_binary_are_not_texts() -> None:
    assert not list(decoded("internationalization of telecommunications responsibilities", 3))
    assert not list(decoded(base64.b64encode(bytes(range(128, 200))).decode(), 3))


def test_disguises_are_undone_by_themselves() -> None:
    for how, form in disguises("de89 3704"):
        assert "de89 3704" in dict(disguises(form))[how]
