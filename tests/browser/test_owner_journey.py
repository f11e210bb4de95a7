"""The main job in a browser: an owner cancels, changes their mind, cancels again, and the account is on Free.

Bought on 17 March 2026 at 9:30 UTC, paid to the same time on 17 April; between the two, the owner's clocks in Paris
go forward by an hour. The story begins on 6 April, inside the 30-day money-back period.
"""

import re
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

import pytest
from django.utils import translation
from django.utils.translation import gettext
from playwright.sync_api import Page, expect
from pytest_django import Settings
from time_machine import Traveller

from accounts.blueprints.models import Blueprint, CloudProvider, Grid
from accounts.core import clock as server_clock
from accounts.mail import sending
from accounts.models import Account, Notice, User
from subscriptions.ending import settling
from subscriptions.models import Cancellation, Reason, Subscription
from tests.browser.conftest import OpenAs, OpenWindow, enter
from tests.factories import NOW, PASSWORD, BlueprintFactory, ConnectionFactory, subscribe

# The live server sees committed rows only; the plans, which come with the migrations, must come back after a flush.
pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True, serialized_rollback=True)]

TODAY = datetime(2026, 4, 6, 9, 0, tzinfo=UTC)
TODAY_IN_PARIS = "Monday, April 6, 2026, 11:00\N{NARROW NO-BREAK SPACE}AM (CEST)"
END = datetime(2026, 4, 17, 9, 30, tzinfo=UTC)
END_IN_PARIS = "Friday, April 17, 2026, 11:30\N{NARROW NO-BREAK SPACE}AM (CEST)"
REFERENCE = re.compile(r"CAN-[0-9A-Z]{4}-[0-9A-Z]{4}")
COMMENT = '<b onclick="alert(1)">Lovely</b> & "dear"\n<script>alert(2)</script> {{ end }}'


@pytest.fixture
def story(account: Account, owner: User, clock: Traveller) -> Subscription:
    """The owner's account with something of everything that a cancellation takes away, on 6 April."""
    owner.time_zone = "Europe/Paris"
    owner.save()
    BlueprintFactory(account=account, name="Web shop")
    BlueprintFactory(account=account, name="Data lake", grid=Grid.INFINITE)
    BlueprintFactory(account=account, name="Everything", grid=Grid.INFINITE)
    ConnectionFactory(account=account, name="production")
    ConnectionFactory(account=account, name="staging")
    ConnectionFactory(account=account, name="analytics", provider=CloudProvider.AZURE)
    subscription = subscribe(account, at=NOW)
    clock.move_to(TODAY)
    return subscription


@pytest.fixture
def mailbox(settings: Settings, tmp_path: Path) -> Path:
    """The folder into which mails go as files."""
    settings.EMAIL_BACKEND = "config.mail.FolderBackend"
    settings.EMAIL_FILE_PATH = str(tmp_path)
    return tmp_path


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts on", "scripts off"])
def test_an_owner_cancels_keeps_cancels_again_and_is_on_free(
    open_window: OpenWindow, owner: User, story: Subscription, clock: Traveller, mailbox: Path, scripts: bool
) -> None:
    page = open_window(java_script_enabled=scripts)
    page.goto("/")
    enter(page, owner)

    page.locator(".user summary").click()
    page.get_by_role("link", name="Subscription Settings").click()
    expect(page.get_by_role("definition").filter(has_text=END_IN_PARIS)).to_be_visible()
    page.get_by_role("link", name="Cancel subscription").click()
    _says_what_happens_next(page)

    page.get_by_label("Why are you leaving?").select_option(label="I don't use it enough")
    page.get_by_label("What could we have done better?").fill(COMMENT)
    page.get_by_role("button", name="Cancel my account").click()
    first = _gives_a_receipt(page)
    _mails_the_same_facts(mailbox, first)
    for path in ("/", "/connections/", "/user/support/", "/user/preferences/", "/auth/password/change/", "/no/such/"):
        page.goto(path)
        expect(page.locator(".banner")).to_contain_text(f"Your Pro subscription ends on {END_IN_PARIS}.")

    page.get_by_role("link", name="See what happens then, or keep it").click()
    page.get_by_role("button", name="Keep my subscription").click()
    expect(page.get_by_text("You keep your subscription. It renews as before.")).to_be_visible()
    expect(page.locator(".banner")).to_have_count(0)
    assert _history(page) == ["Subscription kept after all", "Subscription cancelled", "Subscription started"]
    assert f"You keep your subscription ({first})" in _subjects(mailbox)

    page.get_by_role("link", name="Cancel subscription").click()
    page.get_by_role("button", name="Cancel my account").click()
    second = _reference(page)
    assert second != first

    clock.move_to(END - timedelta(seconds=30))
    page.goto("/user/subscription/")
    expect(page.get_by_role("heading", name="Pro")).to_be_visible()
    expect(page.get_by_role("button", name="Keep my subscription")).to_be_visible()

    clock.move_to(END)
    # No job has run since. Dates decide.
    _shows_what_free_means(page)
    _converts_a_blueprint_and_edits_it(page)

    clock.move_to(END + timedelta(minutes=2))
    settling.settle_due(END + timedelta(minutes=1))
    assert "Your subscription has ended: you are on Free" in _subjects(mailbox)
    page.goto("/user/subscription/")
    assert [line for line in _history(page) if line.startswith("Subscription")] == [
        "Subscription ended",
        "Subscription cancelled",
        "Subscription kept after all",
        "Subscription cancelled",
        "Subscription started",
    ]
    assert len(list(mailbox.glob("*.eml"))) == 4


def _says_what_happens_next(page: Page) -> None:
    """The confirmation page: the date, the four losses in this account's numbers, what stays, and both ways out."""
    what = page.get_by_role("region", name="What changes, and when")
    expect(what).to_contain_text(f"You have paid until {END_IN_PARIS}, and everything works until then.")
    expect(what.locator("time").first).to_have_attribute("datetime", "2026-04-17T09:30:00Z")
    assert what.locator(".losses > li").all_inner_texts() == [
        "2 blueprints on the infinite grid become read-only. "
        "Converting one to the standard grid makes it editable again.",
        "The Live view is no longer available.",
        "The resources of 2 AWS connections are no longer updated.",
        "The resources of 1 Azure connection are no longer updated.",
        "The Bits menu no longer works.",
    ]
    expect(what).to_contain_text("Nothing is deleted.")
    expect(what.get_by_role("link", name="Ask for deletion")).to_have_attribute("href", "/user/support/?kind=deletion")
    refund = page.get_by_role("region", name="You would rather have your money back?")
    expect(refund).to_contain_text("Until Thursday, April 16, 2026, 11:30\N{NARROW NO-BREAK SPACE}AM (CEST)")
    expect(refund.get_by_role("link", name="Ask for a refund")).to_have_attribute("href", "/user/support/?kind=refund")


def _gives_a_receipt(page: Page) -> str:
    """The receipt: reference, dates, and the comment exactly as it was typed. Returns the reference."""
    expect(page.get_by_role("heading", name="Your subscription is cancelled")).to_be_visible()
    expect(page.locator("dl")).to_contain_text(f"Received{TODAY_IN_PARIS}", use_inner_text=False)
    expect(page.locator("dl")).to_contain_text(END_IN_PARIS)
    expect(page.locator("dl")).to_contain_text("I don't use it enough")
    # Its lines break as typed only once the style sheet is there.
    page.wait_for_load_state("load")
    assert page.locator(".typed").inner_text() == COMMENT
    assert Cancellation.objects.get().reason == Reason.UNUSED
    return _reference(page)


def _mails_the_same_facts(mailbox: Path, reference: str) -> None:
    [mail] = _mails(mailbox)
    assert mail["To"] == "owner@example.org"
    assert mail["Subject"] == f"Your subscription is cancelled ({reference})"
    for part in ("plain", "html"):
        body = mail.get_body((part,))
        assert body is not None
        text = re.sub(r"<[^>]+>", "", body.get_content())
        for fact in (
            reference,
            f"Takes effect: {END_IN_PARIS}",
            f"Received: {TODAY_IN_PARIS}",
            "2 blueprints on the infinite grid become read-only.",
            "The Live view is no longer available.",
            "The resources of 2 AWS connections are no longer updated.",
            "The resources of 1 Azure connection are no longer updated.",
            "The Bits menu no longer works.",
            "Reply to this email, or write to support@blueprints.example.",
            "/user/subscription/",
        ):
            # Addresses stand in a button's link where there are any.
            assert fact in (body.get_content() if fact.startswith("/") else text), (part, fact)


def _shows_what_free_means(page: Page) -> None:
    page.goto("/user/subscription/")
    expect(page.locator(".banner")).to_have_count(0)
    expect(page.get_by_role("region", name="Free")).to_contain_text(f"The Pro subscription ended on {END_IN_PARIS}.")
    expect(page.get_by_role("link", name="Cancel subscription")).to_have_count(0)
    page.get_by_role("link", name="Blueprints").first.click()
    expect(page.locator(".tile").filter(has_text="read-only")).to_have_count(2)
    page.get_by_role("link", name="Web shop").click()
    expect(page.get_by_role("button", name="Save")).to_be_visible()
    expect(page.get_by_text("The Bits menu is off since April 17, 2026.")).to_be_visible()
    expect(page.get_by_text("The Live view is off since April 17, 2026.")).to_be_visible()
    expect(page.get_by_role("link", name="Open the Live view")).to_have_count(0)
    for door, name in (("live/", "Live view"), ("bits/?component=web", "Bits menu")):
        answer = page.goto(f"{page.url.partition('live/')[0].partition('bits/')[0]}{door}")
        assert answer is not None
        assert answer.status == 403
        expect(page.get_by_role("heading", name=name)).to_be_visible()
        expect(page.locator("main")).to_contain_text("The Free plan, which this account is on since April 17, 2026,")
    page.get_by_role("link", name="Cloud connections").click()
    expect(page.get_by_role("region", name="Updates are paused")).to_contain_text("paused since April 17, 2026")


def _converts_a_blueprint_and_edits_it(page: Page) -> None:
    page.goto("/")
    page.get_by_role("link", name="Data lake").click()
    expect(page.get_by_role("region", name="This blueprint is read-only")).to_contain_text(
        "can't be edited on the Free plan, which this account is on since April 17, 2026."
    )
    expect(page.get_by_role("button", name="Save")).to_have_count(0)
    page.get_by_role("button", name="Convert to the standard grid").click()
    page.get_by_label("Name").fill("Data pond")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="Data pond")).to_be_visible()
    assert sorted(Blueprint.objects.infinite().values_list("name", flat=True)) == ["Everything"]


def test_keeping_works_to_the_last_second_and_is_refused_after(
    open_as: OpenAs, owner: User, story: Subscription, clock: Traveller
) -> None:
    page = open_as(owner)
    page.goto("/user/subscription/cancellation/")
    page.get_by_role("button", name="Cancel my account").click()
    stale = page.context.new_page()
    stale.goto("/user/subscription/")

    clock.move_to(END - timedelta(seconds=30))
    page.get_by_role("button", name="Keep my subscription").click()
    expect(page.get_by_text("You keep your subscription.")).to_be_visible()
    page.get_by_role("link", name="Cancel subscription").click()
    # Days after the sign-in, who presses the button is asked who they are.
    page.locator("input[name=password]").fill(PASSWORD)
    page.get_by_role("button", name="Go on").click()
    page.get_by_role("button", name="Cancel my account").click()
    expect(page.get_by_text("Your subscription is cancelled")).to_be_visible()

    clock.move_to(END)
    with stale.expect_navigation() as answer:
        stale.get_by_role("button", name="Keep my subscription").click()
    assert answer.value.status == 409
    expect(stale.locator("main")).to_contain_text("The subscription has ended already and can't be kept any more.")
    expect(stale.locator("main")).to_contain_text("Nothing was changed.")
    assert Cancellation.objects.open().count() == 1


def test_the_keyboard_alone_is_enough_to_cancel_and_to_keep(
    open_window: OpenWindow, owner: User, story: Subscription
) -> None:
    page = open_window()
    page.goto("/auth/login/")
    _tab_to(page, "Email address")
    page.keyboard.type(owner.email)
    _tab_to(page, "Password")
    page.keyboard.type("correct horse battery")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Blueprints")).to_be_visible()

    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_in_viewport()
    _tab_to(page, f"User: {owner}")
    page.keyboard.press("Enter")
    _tab_to(page, "Subscription Settings")
    page.keyboard.press("Enter")
    _arrives(page, "Subscription Settings")
    _tab_to(page, "Cancel subscription")
    page.keyboard.press("Enter")
    _arrives(page, "Cancel subscription")
    _tab_to(page, "Why are you leaving? (optional)")
    page.keyboard.type("It is too exp")
    _tab_to(page, "What could we have done better? (optional)")
    page.keyboard.type("Cheaper, please.")
    _tab_to(page, "Cancel my account")
    page.keyboard.press("Enter")
    _arrives(page, "Your subscription is cancelled")
    cancellation = Cancellation.objects.get()
    assert (cancellation.reason, cancellation.comment) == (Reason.TOO_EXPENSIVE, "Cheaper, please.")

    _tab_to(page, "Keep my subscription")
    page.keyboard.press("Space")
    _arrives(page, "Subscription Settings")
    assert not Cancellation.objects.open().exists()


#: The words of what has the focus.
FOCUSED = """() => {
    const element = document.activeElement;
    return (element.labels?.length ? element.labels[0] : element).innerText.trim().replace(/\\s+/g, " ");
}"""
#: Whether it can be seen where the focus is. Scrolling there may take a moment.
FOCUS_IS_SEEN = """() => {
    const style = getComputedStyle(document.activeElement);
    const box = document.activeElement.getBoundingClientRect();
    return style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2 && box.width > 0
        && box.right > 0 && box.bottom > 0 && box.left < innerWidth && box.top < innerHeight;
}"""


def _tab_to(page: Page, name: str) -> None:
    """Press Tab until what is called `name` has the focus, which can be seen at every step."""
    passed: list[str] = []
    while name not in passed and len(passed) < 40:
        page.keyboard.press("Tab")
        page.wait_for_function(FOCUS_IS_SEEN)
        passed.append(page.evaluate(FOCUSED))
    assert passed[-1] == name, passed


def _arrives(page: Page, heading: str) -> None:
    expect(page.get_by_role("heading", name=heading, level=1)).to_be_visible()


def test_a_double_click_and_a_second_tab_make_one_cancellation_and_one_mail(
    open_as: OpenAs, owner: User, story: Subscription
) -> None:
    page = open_as(owner)
    page.goto("/user/subscription/cancellation/")
    other = page.context.new_page()
    other.goto("/user/subscription/cancellation/")

    page.get_by_role("button", name="Cancel my account").dblclick()
    expect(page.get_by_text("Your subscription is cancelled")).to_be_visible()
    other.get_by_role("button", name="Cancel my account").click()
    expect(other.get_by_text("Your subscription is cancelled")).to_be_visible()

    assert _reference(other) == _reference(page)
    assert Cancellation.objects.count() == 1
    assert Notice.objects.count() == 1


def test_a_french_owner_reads_french(open_as: OpenAs, owner: User, story: Subscription, mailbox: Path) -> None:
    owner.language = "fr"
    owner.save()
    end = "vendredi 17 avril 2026, 11:30 (CEST)"
    page = open_as(owner, locale="en-US")

    page.goto("/user/subscription/cancellation/")
    expect(page.locator("html")).to_have_attribute("lang", "fr")
    with translation.override("fr"):
        cancel, cancelled, losses = map(
            gettext, ("Cancel my account", "Your subscription is cancelled", "The Live view is no longer available.")
        )
    assert cancel != "Cancel my account"
    expect(page.locator(".when")).to_contain_text(end)
    expect(page.locator(".losses")).to_contain_text(losses)
    page.get_by_role("button", name=cancel).click()
    expect(page.get_by_role("heading", name=cancelled)).to_be_visible()

    sending.send_due(TODAY + timedelta(minutes=1))
    [mail] = _mails(mailbox)
    assert mail["Content-Language"] == "fr"
    assert mail["Subject"].endswith(f"({_reference(page)})")
    body = mail.get_body(("plain",))
    assert body is not None
    assert end in body.get_content()
    assert losses in body.get_content()


def test_a_browser_that_asks_for_french_gets_the_sign_in_page_in_french(open_window: OpenWindow) -> None:
    page = open_window(locale="fr-FR")

    page.goto("/")

    expect(page.locator("html")).to_have_attribute("lang", "fr")
    with translation.override("fr"):
        expect(page.get_by_role("heading", level=1)).to_have_text(gettext("Sign in"))


def test_a_member_is_told_who_the_owner_is_and_has_no_button(
    open_as: OpenAs, member: User, story: Subscription
) -> None:
    page = open_as(member)

    page.goto("/user/subscription/")

    expect(page.locator("main")).to_contain_text("The owner of this account is Olga Owner.")
    expect(page.get_by_role("link", name="Cancel subscription")).to_have_count(0)
    answer = page.goto("/user/subscription/cancellation/")
    assert answer is not None
    assert answer.status == 403
    expect(page.locator("main")).to_contain_text("Only the owner of this account, Olga Owner, can do this.")


def test_the_receipt_prints_as_facts_alone(open_as: OpenAs, owner: User, story: Subscription) -> None:
    page = open_as(owner)
    page.goto("/user/subscription/cancellation/")
    page.get_by_role("button", name="Cancel my account").click()

    page.emulate_media(media="print", color_scheme="dark")

    expect(page.locator("dl").get_by_text(REFERENCE)).to_be_visible()
    expect(page.locator("dl").get_by_text(END_IN_PARIS)).to_be_visible()
    expect(page.get_by_role("navigation")).to_be_hidden()
    expect(page.get_by_role("button", name="Keep my subscription")).to_be_hidden()
    expect(page.locator("body")).to_have_css("background-color", "rgb(255, 255, 255)")
    expect(page.locator("dl .reference")).to_have_css("color", "rgb(0, 0, 0)")


def _reference(page: Page) -> str:
    return page.locator("dl .reference").inner_text()


def _history(page: Page) -> list[str]:
    """What the history on the page says, newest first, without references."""
    lines = page.get_by_role("region", name="History").locator("li > span:first-child").all_inner_texts()
    return [REFERENCE.sub("", line).strip() for line in lines]


def _subjects(mailbox: Path) -> set[str]:
    return {str(mail["Subject"]) for mail in _mails(mailbox)}


def _mails(mailbox: Path) -> list[EmailMessage]:
    """The mails that have come, after what is due at the server's time has been sent."""
    sending.send_due(server_clock.now())
    return [message_from_bytes(file.read_bytes(), policy=default) for file in sorted(mailbox.glob("*.eml"))]
