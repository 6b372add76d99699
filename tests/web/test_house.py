"""The rest of the house on the web: the trace, the search, the log, the replay, and what they agree with."""

import re

from playwright.sync_api import expect

from pratique.ledger import queries
from pratique.ledger.sequencer import Entry
from tests.web.conftest import Site, Visit
from tests.web.house import LETTER, POLICY, STRANGER


def test_a_trace_tells_what_was_read_asked_answered_and_run(visit: Visit, site: Site) -> None:
    session = site.session()
    site.call(session, "mail.read")
    ticket = site.call(session, "money.pay", to=STRANGER, amount=43).ticket
    site.runtime.desk.answer(ticket, "li@acme.example", approve=False, reason="a stranger's account")
    page = visit("li@acme.example")
    page.goto(f"/traces/{session.id}")
    steps = page.locator(".timeline > .step")
    expect(steps.nth(0)).to_contain_text("mail.read")
    expect(steps.nth(0)).to_have_class(re.compile("is-done"))
    expect(steps.nth(1)).to_have_class(re.compile("is-rejected"))
    expect(steps.nth(1)).to_contain_text("a stranger's account")
    expect(steps.nth(1).locator("mark").first).to_have_text(STRANGER, ignore_case=True)
    steps.nth(0).get_by_text("Result").click()
    expect(steps.nth(0)).to_contain_text(LETTER[:30])


def test_calls_are_found_by_what_touched_them(visit: Visit, site: Site) -> None:
    session = site.session()
    site.call(session, "mail.read")
    site.call(session, "money.pay", to=STRANGER, amount=42)
    page = visit("li@acme.example")
    page.goto("/traces")
    page.get_by_role("link", name="Search all calls").click()
    page.get_by_label("Tool").fill("money.*")
    page.get_by_label("Decision").select_option("ask")
    page.get_by_role("button", name="Search").click()
    assert "tool=money" in page.url
    row = page.locator("tbody tr").first
    expect(row).to_contain_text("money.pay")
    row.locator("td a.mono").first.click()
    expect(page.locator("tbody")).to_contain_text("mail.read")


def test_the_log_is_verified_against_what_somebody_kept(visit: Visit, site: Site) -> None:
    site.ledger.commit_now(Entry((), checkpoint=True))
    head = site.ledger.read(queries.head)
    page = visit("ana@acme.example", "owner")
    page.goto("/audit")
    page.get_by_role("button", name="Verify now").click()
    expect(page.locator(".chip.state-unanchored")).to_be_visible()
    page.get_by_label(re.compile("that you kept")).fill(str(head))
    page.get_by_role("button", name="Verify now").click()
    expect(page.locator(".chip.state-ok")).to_be_visible()
    forged = f"{head.seq}:{'0' * 64}"
    page.get_by_label(re.compile("that you kept")).fill(forged)
    page.get_by_role("button", name="Verify now").click()
    expect(page.locator(".chip.state-broken")).to_be_visible()
    page.get_by_label(re.compile("that you kept")).fill("seventeen")
    page.get_by_role("button", name="Verify now").click()
    expect(page.locator("#anchor-problem")).to_be_visible()
    page.get_by_label(re.compile("that you kept")).fill(page.locator("#checkpoint").text_content() or "")
    page.get_by_role("button", name="Verify now").click()
    expect(page.locator(".chip.state-ok")).to_be_visible()


def test_the_export_is_every_record_as_it_is_stored(visit: Visit, site: Site) -> None:
    page = visit("ana@acme.example", "owner")
    answer = page.request.get("/audit/export")
    lines = answer.body().splitlines()
    stored = site.ledger.read(lambda connection: [body for _, _, body in queries.stored(connection)])
    assert lines == stored[: len(lines)]
    assert len(lines) >= len(stored) - 5  # others went on meanwhile


def test_an_approver_sees_no_log_and_no_replay(visit: Visit) -> None:
    page = visit("bo@acme.example")
    expect(page.get_by_role("link", name="Log", exact=True)).to_have_count(0)
    for address in ["/audit", "/audit/export", "/audit/1", "/replay"]:
        answer = page.goto(address)
        assert answer is not None
        assert answer.status == 403, address


def test_another_policy_is_tried_on_the_past_and_not_applied(visit: Visit, site: Site) -> None:
    site.ask(text="to be replayed")
    epoch = site.ledger.read(queries.epoch)
    page = visit("ana@acme.example", "owner")
    page.goto("/replay")
    page.get_by_label("this one").check()
    page.get_by_label("A policy file (TOML)").fill("[agents")
    page.get_by_role("button", name="Decide again").click()
    expect(page.get_by_role("alert")).to_be_visible()
    looser = POLICY.replace('tools = ["note.*", "money.*"]', 'tools = ["money.*"]')
    page.get_by_label("A policy file (TOML)").fill(looser)
    page.get_by_role("button", name="Decide again").click()
    result = page.locator("section", has=page.locator("#result"))
    expect(result).to_contain_text("would have been let through")
    expect(page.locator("tbody")).to_contain_text("note.write")
    assert site.ledger.read(queries.epoch) == epoch


def test_a_login_link_that_is_only_looked_at_still_works(visit: Visit, site: Site) -> None:
    page = visit()
    page.context.clear_cookies()
    link = site.link("li@acme.example")
    page.goto(link)
    page.goto(link)
    page.get_by_role("button", name="Log in with this link").click()
    page.wait_for_url("**/queue")
    page.context.clear_cookies()
    page.goto(link)
    page.get_by_role("button", name="Log in with this link").click()
    expect(page.get_by_role("alert")).to_contain_text("used already")


def test_nobody_is_sent_to_another_site_after_the_login(visit: Visit, site: Site) -> None:
    page = visit()
    for elsewhere in ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)"]:
        page.goto(f"/login?next={elsewhere}")
        assert page.url == f"{site.address}/queue"
