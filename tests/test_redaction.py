"""What looks like a credential is taken out whole; ordinary text is left alone."""

import time

import pytest

from pratique.redaction import SECRET_NAMES, redact

KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow" + "A" * 60 + "\n-----END RSA PRIVATE KEY-----"

CREDENTIALS = {
    "a private key": KEY,
    "a JWT": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dBjftJeZ4CVPmB92K27uhbUJU1p1r",
    "a Stripe key": "sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc",
    "an OpenAI key": "sk-proj-" + "abcDEF123456abcDEF123456",
    "an Anthropic key": "sk-ant-" + "api03-abcDEF123456abcDEF",
    "an AWS key": "AKIA" + "IOSFODNN7EXAMPLE",
    "a GitHub token": "ghp_" + "a1B2" * 9,
    "a fine GitHub token": "github_pat_" + "11ABCDEFG0" * 3,
    "a Slack token": "xoxb-" + "123456789012-abcdefABCDEF",
    "a Google key": "AIza" + "SyA1234567890abcdefghijklmnopqrstuv"[:35],
    "a bearer token": "mF_9.B5f-4.1JqM0aaaa",
}


@pytest.mark.parametrize("kind", CREDENTIALS)
@pytest.mark.parametrize(
    "around", ["{}", "before {} after", "'{}'", '{{"value": "{}"}}', "a\n{}\nb", "url?x={}&y=1"]
)
def test_credentials_of_known_forms_are_taken_out(kind: str, around: str) -> None:
    secret = CREDENTIALS[kind]
    text = around.format(("Authorization: Bearer " if "bearer" in kind else "") + secret)
    shown = redact(text)
    assert secret not in shown
    assert secret[-12:] not in shown, "nothing of it stays"
    assert "[redacted " in shown


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("password: hunter22", "hunter22"),
        ("Password = hunter22", "hunter22"),
        ("my password is hunter22", "hunter22"),
        ("pwd=hunter22&user=kim", "hunter22"),
        ("api_key: abcd1234", "abcd1234"),
        ("API-KEY=abcd1234", "abcd1234"),
        ("token: abcd1234", "abcd1234"),
        ("secret=abcd1234", "abcd1234"),
        ("passphrase: correct-horse", "correct-horse"),
        ("postgres://kim:hunter22@db.example/x", "hunter22"),
        ("https://kim:p%40ss@example.com", "p%40ss"),
        ('"password": "hunter22"', "hunter22"),
        ("'api_key': 'abcd1234'", "abcd1234"),
    ],
)
def test_what_is_called_a_password_is_taken_out(text: str, secret: str) -> None:
    assert secret not in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "please refund order 8821 to the customer",
        "the meeting is at 10:30, see https://acme.example/rooms/1",
        "ask kim@acme.example about the passport",
        "skipping and risk-taking",
        "token ring networks",
        "a sk_id and an AKIA",
        "2026-09-21T10:00:00+00:00",
    ],
)
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert redact(text) == text


def test_secrets_that_the_host_knows_are_taken_out_wherever_they_are() -> None:
    assert redact("<<tr0ub4dor>>", ["tr0ub4dor"]) == "<<[redacted secret]>>"


@pytest.mark.parametrize("known", [[""], ["", "tr0ub4dor"]])
def test_an_empty_secret_takes_nothing_out(known: list[str]) -> None:
    assert redact("hello", known) == "hello"


def test_a_longer_secret_that_holds_a_shorter_one_leaves_nothing_behind() -> None:
    assert "dor" not in redact("tr0ub4dor", ["tr0ub4", "tr0ub4dor"])


@pytest.mark.parametrize(
    "name", ["password", "db_password", "API_KEY", "apiKey", "Authorization", "set-cookie"]
)
def test_names_that_hold_secrets_are_known(name: str) -> None:
    assert SECRET_NAMES.search(name)


@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN PRIVATE KEY-----" * 4000,
        "eyJ" + "a" * 100_000,
        "://" + "a:" * 50_000,
        "bearer " * 20_000,
        "sk-" * 40_000,
        "password " * 12_000,
        "eyJaaaaaaaa." * 10_000,
    ],
    ids=range(7),
)
def test_hostile_text_of_a_hundred_kilobytes_takes_no_long_time(text: str) -> None:
    begun = time.process_time()
    redact(text)
    assert time.process_time() - begun < 5, "that is not linear"
