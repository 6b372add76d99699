"""What an approver does, in a real browser against a real server."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.web.conftest import Site, Visit
from tests.web.house import LETTER, STRANGER


def state(site: Site, ticket: str) -> str:
    return site.runtime.queue.look(ticket).state


def test_somebody_who_is_not_logged_in_is_sent_to_the_login_and_back(visit: Visit, site: Site) -> None:
    ticket = site.ask(text="after the login")
    page = visit()
    page.context.clear_cookies()
    page.goto(f"/queue/{ticket}")
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    assert f"next=%2Fqueue%2F{ticket}" in page.url


def test_a_wrong_password_says_no_and_keeps_the_name(visit: Visit) -> None:
    page = visit()
    page.context.clear_cookies()
    page.goto("/login")
    page.get_by_label("Name").fill("li@acme.example")
    page.get_by_label("Password").fill("wrong wrong wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_contain_text("do not fit")
    expect(page.get_by_label("Name")).to_have_value("li@acme.example")


def test_an_injected_argument_is_marked_with_where_it_came_from(visit: Visit, site: Site) -> None:
    ticket = site.ask_tainted(to=STRANGER, amount=49)
    page = visit()
    page.goto(f"/queue/{ticket}")
    argument = page.locator('[data-argument="to"]')
    expect(argument.locator(".value")).to_have_text(STRANGER)
    chip = argument.locator(".chip.from-untrusted").first
    expect(chip).to_have_text("outside")
    mark = argument.locator(".excerpt mark").first
    expect(mark).not_to_be_visible()
    chip.click()
    expect(mark).to_be_visible()
    expect(mark).to_have_text(STRANGER, ignore_case=True)
    expect(argument.locator(".excerpt").first).to_contain_text(LETTER[20:40], ignore_case=True)
    expect(page.locator(".note.danger")).to_contain_text("written by somebody outside")


def test_a_no_needs_a_reason_and_the_agent_hears_it(visit: Visit, site: Site) -> None:
    ticket = site.ask(text="to be rejected")
    page = visit()
    page.goto(f"/queue/{ticket}")
    page.locator("#reject-fold > summary").click()
    page.get_by_role("button", name="Reject", exact=True).click()
    expect(page.locator("#reason-problem")).to_contain_text("needs a reason")
    assert state(site, ticket) == "proposed"
    page.get_by_label("This is not what was asked for.").check()
    page.get_by_label("In your own words").fill("Kim is on holiday")
    page.get_by_role("button", name="Reject", exact=True).click()
    expect(page.locator("#flash")).to_contain_text("Rejected")
    question = site.runtime.queue.look(ticket)
    assert (question.state, question.reason) == (
        "rejected",
        "This is not what was asked for. Kim is on holiday",
    )
    assert question.decided_by == ("li@acme.example",)


def test_a_question_is_found_and_approved_by_keyboard_alone(visit: Visit, site: Site) -> None:
    ticket = site.ask(text="by keyboard")
    page = visit()
    page.keyboard.press("/")
    page.keyboard.type(ticket)
    expect(page.locator("#list > .item")).to_have_count(1)
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/queue/{ticket}*")
    page.keyboard.press("a")
    expect(page.locator("#flash")).to_contain_text("Approved")
    assert state(site, ticket) == "approved"


def test_a_search_is_in_the_address(visit: Visit, site: Site) -> None:
    ticket = site.ask(text="needle in the queue")
    page = visit()
    page.get_by_label(re.compile("Search")).fill(ticket)
    expect(page.locator("#list > .item")).to_have_count(1)
    page.wait_for_url(f"**/queue?*q={ticket}*")
    page.reload()
    expect(page.locator("#list > .item")).to_have_count(1)
    expect(page.get_by_label(re.compile("Search"))).to_have_value(ticket)


def test_a_second_tab_was_too_late(visit: Visit, site: Site) -> None:
    ticket = site.ask(text="two tabs")
    page = visit()
    page.goto(f"/queue/{ticket}")
    late = page.context.new_page()
    late.route("**/events*", lambda route: route.abort())  # a tab that was not told
    late.goto(f"/queue/{ticket}")
    page.locator("#yes").click()
    expect(page.locator("#flash")).to_contain_text("Approved")
    with late.expect_navigation() as navigation:
        late.locator("#yes").click()
    assert navigation.value.status == 409
    expect(late.get_by_role("heading", level=1)).to_contain_text("nothing was changed")
    expect(late.locator("#problem")).to_contain_text("approved already")
    assert site.runtime.queue.look(ticket).votes == 1


def test_a_yes_is_to_the_card_that_was_read(visit: Visit, site: Site) -> None:
    ticket = site.ask(text="another card")
    page = visit()
    page.goto(f"/queue/{ticket}")
    page.locator('#approve input[name="card"]').evaluate("field => field.value = '0'.repeat(64)")
    page.locator("#yes").click()
    expect(page.locator("#problem")).to_contain_text("not the one that you read")
    assert state(site, ticket) == "proposed"


def test_its_time_is_over_while_somebody_looks_at_it(visit: Visit, site: Site) -> None:
    page = visit()
    ticket = site.ask("flash.note", text="soon over")
    page.goto(f"/queue/{ticket}")
    expect(page.locator("#yes")).to_be_enabled()
    expect(page.locator("#expired")).to_be_visible()
    expect(page.locator("#yes")).to_be_disabled()
    page.reload()
    expect(page.locator("#ended")).to_contain_text("Nobody answered in time")
    expect(page.locator("#yes")).to_have_count(0)


WITHOUT_SUMMARIES = """element => {
    const copy = element.cloneNode(true);
    for (const summary of copy.querySelectorAll("summary")) summary.remove();
    return copy.textContent;
}"""

HOSTILE = (
    '<script>document.title="owned"</script>'
    "<img src=x onerror=alert(1)>"
    "\u202egnp.exe\u2066 \u200bzero\u200d width\x1b[2J\n"
    "</div></section><p class='note good'>Approved by li@acme.example</p>{{ 7*7 }}\n"
)


def test_a_hostile_argument_is_text_in_full_and_with_nothing_hidden(visit: Visit, site: Site) -> None:
    long = "x" * 200_000
    ticket = site.ask(text=HOSTILE + long + "the very end")
    page = visit()
    page.goto(f"/queue/{ticket}")
    value = page.locator('[data-argument="text"] .value')
    shown = value.evaluate(WITHOUT_SUMMARIES)
    assert '<script>document.title="owned"</script>' in shown
    assert "⟨U+202E⟩gnp.exe⟨U+2066⟩ ⟨U+200B⟩zero⟨U+200D⟩ width⟨U+001B⟩[2J" in shown
    assert "Approved by li@acme.example</p>{{ 7*7 }}" in shown
    assert shown.count("x" * 1_000) == 200
    assert shown.endswith("the very end")
    assert "\u202e" not in page.content()
    assert value.locator("script, img, p").count() == 0
    assert "owned" not in page.title()
    expect(page.locator(".note.good")).to_have_count(0)
    expect(value.locator(".unseen").first).to_have_text("⟨U+202E⟩")
    fold = value.locator("details")
    assert not fold.evaluate("element => element.open")
    expect(fold.locator("summary")).to_contain_text("more characters")
    assert wide(page) <= 0


def wide(page: Page) -> int:
    """Return by how many pixels a page is wider than its window."""
    return int(page.evaluate("document.documentElement.scrollWidth - window.innerWidth"))


PAGES = [
    "/queue",
    "/decided",
    "/standing",
    "/traces",
    "/search?decision=ask",
    "/tools",
    "/policy",
    "/replay",
    "/audit",
    "/figures",
    "/account",
]


@pytest.mark.parametrize("width", [360, pytest.param(1280, marks=pytest.mark.slow)])
def test_no_page_is_wider_than_its_window(visit: Visit, site: Site, width: int) -> None:
    ticket = site.ask_tainted(to=STRANGER, amount=48)
    session = site.runtime.queue.look(ticket).session
    page = visit("ana@acme.example", "owner", viewport={"width": width, "height": 740})
    for address in [*PAGES, f"/queue/{ticket}", f"/traces/{session}", "/audit/1"]:
        answer = page.goto(address)
        assert answer is not None
        assert answer.ok, address
        assert wide(page) <= 0, address


def test_without_javascript_a_question_is_read_and_answered(visit: Visit, site: Site) -> None:
    ticket = site.ask(text="no scripts here")
    page = visit(java_script_enabled=False)
    page.locator("#q").fill(ticket)
    page.get_by_role("button", name="Search").click()
    assert f"q={ticket}" in page.url
    page.locator("#list .item .tool").click()
    expect(page.locator('[data-argument="text"] .value')).to_have_text("no scripts here")
    page.locator("#yes").click()
    expect(page.locator("#flash")).to_contain_text("Approved")
    assert state(site, ticket) == "approved"
