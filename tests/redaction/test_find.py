"""Promise: what has the form of a secret or of personal data is found; what merely resembles it is not."""

import pytest

from pratique.redaction import KINDS, Kind, find, redact

PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\nabcd+/==\n-----END RSA PRIVATE KEY-----"

FOUND: dict[Kind, list[str]] = {
    "keys": [
        PEM,
        "-----BEGIN OPENSSH PRIVATE KEY-----\\nb3BlbnNzaC1rZXktdjEAAAAA\\n",  # cut, and in JSON
        "AGE-SECRET-KEY-1" + "Q" * 58,
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl",
        "sk-proj-abcDEF1234567890abcd",
        "sk-ant-api03-abcDEF1234567890abcd",
        "sk_live_4eC39HqLyjWDarjtT1zdp7dc",
        "AKIAIOSFODNN7EXAMPLE",
        "ghp_" + "a1" * 18,
        "github_pat_11ABCDEFG0abcdefghijkl",
        "glpat-abcdefghij0123456789",
        "xoxb-123456789012-abcdefABCDEF",
        "AIza" + "aB3" * 11 + "xy",
        "GOCSPX-abcdefghijklmnopqrstuvwx",
        "npm_" + "a1" * 18,
        "hf_" + "aB" * 17,
        "SG." + "a" * 22 + "." + "b" * 43,
        "dop_v1_" + "a1" * 32,
        "hvs." + "CAESI" * 6,
        "123456789:" + "AAH" * 11 + "xy",
        "Bearer abcdefghijklmnop0123",
        "Authorization: Basic a2ltOmh1bnRlcjJodW50ZXIy",
        "password: hunter2",
        "my secret is swordfish",
        'api_key="0123456789"',
        "PASSWD=hunter2",
    ],
    "cards": [
        "4111111111111111",
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "5555 5555 5555 4444",
        "3782 822463 10005",
        "378282246310005",
        "3056 930902 5904",
        "6011.1111.1111.1117",
    ],
    "iban": [
        "DE89370400440532013000",
        "DE89 3704 0044 0532 0130 00",
        "GB82 WEST 1234 5698 7654 32",
        "fr1420041010050500013m02606",
        "NO93 8601 1117 947",
        "MT84-MALT-0110-0001-2345-MTLC-AST0-01S",
    ],
    "phones": ["+49 30 901820", "+442079460958", "+1 (650) 253-0000", "\uff0b49 30 901820"],
    "emails": ["bob@mail.example", "b.o'b+x@sub.mail.example", "ümit@bücher.example", "a@xn--p1ai.xn--p1ai"],
}
CASES = [(kind, text) for kind, texts in FOUND.items() for text in texts]


@pytest.mark.parametrize(("kind", "text"), CASES)
@pytest.mark.parametrize("around", ["{}", "see {} now", "(\n{}\n)", "„{}“", "ü {} \N{OLD ITALIC LETTER A}"])
def test_it_is_found_wherever_it_stands(kind: Kind, text: str, around: str) -> None:
    whole = around.format(text)
    assert [span.kind for span in find(whole) if span.kind == kind]
    assert text.rpartition(" ")[2] not in redact(whole, kinds=[kind])


@pytest.mark.parametrize(("kind", "text"), CASES)
def test_a_kind_that_is_off_is_not_looked_for(kind: Kind, text: str) -> None:
    assert all(span.kind != kind for span in find(text, [other for other in KINDS if other != kind]))
    assert redact(text, kinds=[]) == text


@pytest.mark.parametrize(
    "text",
    [
        "order 4111111111111112",  # no Luhn number
        "0000 0000 0000 0000",
        "order 8821, 2026-09-21 10:00:00, 192.168.1.1",
        "DE88 3704 0044 0532 0130 00",  # no checksum
        "DE8937040044053201300",
        "DE893704004405320130001",
        "XX82 WEST 1234 5698 7654 32",
        "030 901820",  # no country
        "1 + 49 = 50",
        "a@b",
        "@mention and user@localhost",
        "the password",
        "tokens are counted",
        "secret santa",
        "the key: C major",
        "https://host.example/path:80/x",
        "sk-short",
        "AKIA1234",
        "d41d8cd98f00b204e9800998ecf8427e",
        "[redacted key]",
    ],
)
def test_what_merely_resembles_it_is_left_alone(text: str) -> None:
    assert redact(text, kinds=KINDS) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("1234 4111 1111 1111 1111 5678", "1234 [redacted card] 5678"),
        ("pay DE89 3704 0044 0532 0130 00 please pay", "pay [redacted IBAN] please pay"),
        ("DE89370400440532013000, DE89 3704 0044 0532 0130 00", "[redacted IBAN], [redacted IBAN]"),
        ("https://kim:hunter2@mail.example/x", "https://[redacted credentials]/x"),
        ("postgresql://kim:hunter2@/crm", "postgresql://[redacted credentials]@/crm"),
        (f"a {PEM} b {PEM} c", "a [redacted private key] b [redacted private key] c"),
        ("token: eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIx.c2ln", "[redacted password]"),
        ("bob@mail.example,kim@mail.example", "[redacted e-mail],[redacted e-mail]"),
    ],
)
def test_the_rest_of_the_text_stays(text: str, shown: str) -> None:
    assert redact(text, kinds=KINDS) == shown


def test_a_region_makes_its_national_numbers_known() -> None:
    assert find("call 030 901820", region="DE")[0].kind == "phones"
    assert find("call 030 901820") == []
    assert redact("call 030 901820", kinds=["phones"], region="DE") == "call [redacted phone]"


def test_spans_count_characters_and_do_not_overlap() -> None:
    text = "\N{OLD ITALIC LETTER A}ü password: bob@mail.example and +49 30 901820 \ud800 4111111111111111"
    spans = find(text)
    assert [text[span.start : span.end] for span in spans] == [
        "password: bob@mail.example",
        "+49 30 901820",
        "4111111111111111",
    ]
    assert [span.kind for span in spans] == ["keys", "phones", "cards"]


def test_known_secrets_are_taken_out_even_where_they_overlap() -> None:
    assert redact("abcdefgh", ["abcdef", "defgh"]) == "[redacted secret]"
    assert redact("aaaaaaa", ["aaaa"]) == "[redacted secret]"
    assert redact("abc", ["", "b"]) == "abc"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("no customer is 'li@acme.example'", "no customer is '[redacted e-mail]'"),
        ("`li@acme.example`", "`[redacted e-mail]`"),
        ("''li@acme.example", "''[redacted e-mail]"),
        ("o'neil@acme.example", "[redacted e-mail]"),
        ("'@acme.example", "[redacted e-mail]"),
        ("ü 'ü@acme.example'", "ü '[redacted e-mail]'"),
    ],
)
def test_a_quotation_mark_before_an_address_is_not_of_it(text: str, left: str) -> None:
    assert redact(text, kinds=["emails"]) == left
