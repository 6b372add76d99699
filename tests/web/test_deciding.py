"""Deciding beyond a yes and a no: edits, quorums, typed destinations, several at once, yeses beforehand."""

import re

from playwright.sync_api import expect

from tests.web.conftest import Site, Visit
from tests.web.house import STRANGER


def state(site: Site, ticket: str) -> str:
    return site.runtime.queue.look(ticket).state


def test_what_cannot_be_undone_asks_for_its_destination(visit: Visit, site: Site) -> None:
    ticket = site.ask_tainted(to=STRANGER, amount=47)
    page = visit()
    page.goto(f"/queue/{ticket}")
    page.keyboard.press("a")
    expect(page.locator("#confirm")).to_be_focused()
    page.keyboard.type("DE89 3704 0044 0532 0130 00")
    page.keyboard.press("Enter")
    expect(page.locator("#confirm-problem")).to_contain_text("not what it goes to")
    assert state(site, ticket) == "proposed"
    page.get_by_label(re.compile("Type where it goes")).fill(STRANGER)
    page.locator("#yes").click()
    expect(page.locator("#flash")).to_contain_text("Approved")
    assert state(site, ticket) == "approved"


def test_an_edit_makes_another_call_that_is_asked_about(visit: Visit, site: Site) -> None:
    ticket = site.ask(text="teh note", copies=2)
    page = visit()
    page.goto(f"/queue/{ticket}")
    page.keyboard.press("e")
    page.wait_for_url(f"**/queue/{ticket}/edit")
    page.get_by_label("text", exact=True).fill("the note")
    page.get_by_label("color").select_option("yellow")
    page.get_by_label("copies").fill("three")
    page.get_by_label(re.compile("Why you change it")).fill("a typo")
    page.get_by_role("button", name="Ask again with this").click()
    expect(page.locator(".problem")).to_contain_text("not a number")
    expect(page.get_by_label("text", exact=True)).to_have_value("the note")
    page.get_by_label("copies").fill("3")
    page.get_by_role("button", name="Ask again with this").click()
    expect(page.locator("#edited")).to_contain_text("Edited by li@acme.example")
    old = site.runtime.queue.look(ticket)
    assert old.state == "edited"
    made = old.edited_to
    page.wait_for_url(f"**/queue/{made}*")
    expect(page.locator('[data-argument="text"] .value')).to_have_text("the note")
    expect(page.locator('[data-argument="copies"] .value')).to_have_text("3")
    page.locator("#yes").click()
    expect(page.locator("#flash")).to_contain_text("Approved")
    assert state(site, made) == "approved"
    page.goto(f"/queue/{ticket}")
    expect(page.locator("#ended")).to_contain_text("Another call is asked about")


def test_an_edit_that_the_schema_does_not_allow_says_why(visit: Visit, site: Site) -> None:
    ticket = site.ask_tainted(to=STRANGER, amount=46)
    page = visit()
    page.goto(f"/queue/{ticket}/edit")
    page.get_by_label("amount").fill("5000")
    page.get_by_label(re.compile("Why you change it")).fill("more")
    page.get_by_role("button", name="Ask again with this").click()
    expect(page.get_by_role("alert")).to_contain_text("amount")
    assert state(site, ticket) == "proposed"


def test_two_people_in_two_browsers_agree(visit: Visit, site: Site) -> None:
    ticket = site.ask("vault.open", why="the yearly count")
    li, bo = visit("li@acme.example"), visit("bo@acme.example")
    bo.goto(f"/queue/{ticket}")
    li.goto(f"/queue/{ticket}")
    expect(li.locator("#answer")).to_have_text("Your answer")
    li.locator("#yes").click()
    expect(li.locator("#flash")).to_contain_text("More people must agree")
    assert state(site, ticket) == "proposed"
    expect(bo.locator("#aside")).to_contain_text("li@acme.example: approve")  # without a reload
    li.goto(f"/queue/{ticket}")
    expect(li.locator("#not-mine")).to_contain_text("You have answered")
    bo.locator("#yes").click()
    expect(bo.locator("#flash")).to_contain_text("Approved")
    question = site.runtime.queue.look(ticket)
    assert (question.state, set(question.decided_by)) == ("approved", {"li@acme.example", "bo@acme.example"})


def test_nobody_answers_what_was_asked_on_their_behalf(visit: Visit, site: Site) -> None:
    ticket = site.call(site.session("li@acme.example"), "note.write", text="for li").ticket
    page = visit("li@acme.example")
    page.goto(f"/queue/{ticket}")
    expect(page.locator("#not-mine")).to_contain_text("on their behalf")
    expect(page.locator("#yes")).to_have_count(0)
    answer = page.request.post(
        f"/queue/{ticket}/approve",
        form={
            "csrf": page.locator("[name=csrf]").first.input_value(),
            "card": site.runtime.queue.look(ticket).card_digest,
        },
    )
    assert answer.status == 403
    assert state(site, ticket) == "proposed"


def test_a_post_without_the_token_changes_nothing(visit: Visit, site: Site) -> None:
    ticket = site.ask(text="no token")
    page = visit()
    digest = site.runtime.queue.look(ticket).card_digest
    answer = page.request.post(f"/queue/{ticket}/approve", form={"card": digest})
    assert answer.status == 403
    assert state(site, ticket) == "proposed"


def test_a_question_goes_back_and_forth_between_approver_and_person(visit: Visit, site: Site) -> None:
    ticket = site.ask(text="is it right?")
    li = visit("li@acme.example")
    li.goto(f"/queue/{ticket}")
    li.get_by_text("Ask kim@acme.example a question").click()
    li.get_by_label("Question").fill("Which colour, Kim?")
    li.get_by_role("button", name="Ask", exact=True).click()
    expect(li.locator("#aside")).to_contain_text("Which colour, Kim?")
    kim = visit("kim@acme.example")  # neither an approver nor of any role
    kim.goto(f"/queue/{ticket}")
    kim.get_by_label("What you say to it").fill("Yellow, please")
    kim.get_by_role("button", name="Answer").click()
    expect(kim.locator("#aside")).to_contain_text("Yellow, please")
    answer = kim.goto(f"/queue/{site.call(site.session('bo@acme.example'), 'note.write', text='').ticket}")
    assert answer is not None
    assert answer.status == 403


def test_a_question_is_handed_to_somebody_else(visit: Visit, site: Site) -> None:
    ticket = site.ask(text="for bo")
    li = visit("li@acme.example")
    li.goto(f"/queue/{ticket}")
    li.get_by_text("Hand it to somebody else").click()
    li.get_by_label("To whom").fill("bo@acme.example")
    li.get_by_role("button", name="Hand over").click()
    expect(li.locator("#flash")).to_contain_text("Handed over")
    li.goto(f"/queue/{ticket}")
    expect(li.locator("#not-mine")).to_contain_text("handed it to bo@acme.example")


def test_several_of_one_shape_are_answered_at_once(visit: Visit, site: Site) -> None:
    tickets = [site.ask(text=f"one of three: {number}", color="yellow") for number in range(3)]
    other = site.ask("vault.open", why="not of that shape")
    page = visit()
    page.goto("/queue?q=note.write")
    for ticket in tickets:
        page.locator(f"#row-{ticket} input[type=checkbox]").check()
    page.get_by_role("button", name="Look at the selected ones").click()
    expect(page.locator("#together section")).to_have_count(3)
    expect(page.locator("#together")).to_contain_text("one of three: 2")
    page.get_by_role("button", name="Approve all 3").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("3 of 3")
    assert [state(site, ticket) for ticket in tickets] == ["approved"] * 3
    assert state(site, other) == "proposed"


def test_calls_are_allowed_beforehand_and_that_is_revoked(visit: Visit, site: Site) -> None:
    ticket = site.ask(text="standing", color="white")
    page = visit()
    page.goto(f"/queue/{ticket}")
    page.get_by_text("Allow calls like this for a while").click()
    page.locator("fieldset", has_text="text").first.get_by_label("may be").select_option("any")
    page.get_by_label("At most so often").fill("2")
    page.get_by_label(re.compile("^Why")).fill("notes are harmless this week")
    page.get_by_role("button", name="Allow them").click()
    expect(page.locator("#flash")).to_contain_text("no longer asked about")
    entry = page.locator("li.box").first
    expect(entry).to_contain_text("note.write")
    outcome = site.call(site.session(), "note.write", text="something else", color="white")
    assert outcome.status == "done", outcome.error
    page.reload()
    expect(entry).to_contain_text("fired 1 of 2 times")
    entry.get_by_role("button", name="Revoke").click()
    expect(page.locator("li.box").first).to_contain_text("revoked")
    assert site.call(site.session(), "note.write", text="yet another", color="white").status == "pending"


def test_the_queue_follows_without_moving_what_is_read(visit: Visit, site: Site) -> None:
    first = [site.ask("vault.open", why=f"row {number}") for number in range(12)]
    page = visit("bo@acme.example", viewport={"width": 800, "height": 500})
    page.goto("/queue?q=vault.open")
    read = page.locator(f"#row-{first[8]}")
    read.locator(".tool").focus()
    read.scroll_into_view_if_needed()
    before = read.bounding_box()
    taken = visit("li@acme.example")
    taken.goto(f"/queue/{first[2]}")
    taken.locator("#reject-fold > summary").click()
    taken.get_by_label("Not now.").check()
    taken.get_by_role("button", name="Reject", exact=True).click()
    new = site.ask("vault.open", why="a new one")
    expect(page.locator(f"#row-{first[2]}")).to_have_count(0)
    expect(page.locator(f"#row-{new}")).to_be_attached()
    expect(page.locator("#news")).to_contain_text("new")
    expect(page.locator(f"#row-{first[8]}")).to_have_class(re.compile("current"))
    after = read.bounding_box()
    assert before is not None
    assert after is not None
    assert abs(before["y"] - after["y"]) <= 1, (before, after)


def test_a_card_that_cannot_be_had_offers_no_yes(visit: Visit, site: Site) -> None:
    ticket = site.ask(text="to be erased")
    page = visit()
    question = site.runtime.queue.look(ticket)
    site.erase(question.proposed_seq)
    page.goto(f"/queue/{ticket}")
    expect(page.get_by_role("alert")).to_contain_text("cannot be approved")
    expect(page.locator("#yes")).to_be_disabled()
    form: dict[str, str | float | bool] = {
        "csrf": page.locator("[name=csrf]").first.input_value(),
        "card": question.card_digest,
    }
    answer = page.request.post(f"/queue/{ticket}/approve", form=form)
    assert answer.status >= 400
    assert state(site, ticket) == "proposed"


def test_what_somebody_types_is_not_taken_away_when_others_answer(visit: Visit, site: Site) -> None:
    ticket = site.ask("vault.open", why="typing meanwhile")
    page = visit("bo@acme.example")
    page.goto(f"/queue/{ticket}")
    page.locator("#reject-fold > summary").click()
    page.get_by_label("In your own words").fill("half a sen")
    site.runtime.desk.answer(ticket, "li@acme.example", approve=True)
    expect(page.locator("#elsewhere")).to_contain_text("meanwhile")
    expect(page.get_by_label("In your own words")).to_have_value("half a sen")
