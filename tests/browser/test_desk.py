"""What a new support agent does at the desk: from an order reference to a refund, from a request to a certificate."""

from datetime import timedelta

import pytest
from playwright.sync_api import Page

from accounts.core import clock
from accounts.customers.history import Actor
from accounts.jobs import sweeps
from accounts.models import Account, Certificate, Notice, Purge, RequestKind, SupportRequest, User
from accounts.support.requests import ask
from subscriptions.billing import by_hand
from subscriptions.billing.wish import Want, Wish
from subscriptions.models import Refund, Subscription
from tests.browser.conftest import OpenAs
from tests.factories import subscribe

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True, serialized_rollback=True)]
DAY = timedelta(days=1)


def find(page: Page, text: str) -> None:
    """Type what a customer quotes into the field on top."""
    page.goto("/admin/")
    page.locator("#finder").fill(text)
    page.get_by_role("button", name="Find").click()


def do(page: Page, label: str, reason: str = "", **fields: str) -> None:
    """Choose an act, fill in its form, look at what will happen, and have it done."""
    page.get_by_role("link", name=label, exact=True).first.click()
    for name, value in fields.items():
        field = page.locator(f"[name={name}]").first
        if field.evaluate("field => field.tagName") == "SELECT":
            field.select_option(value)
        else:
            field.fill(value)
    for fact in ("owner_email", "card_digits"):
        if (box := page.locator(f"input[name=identity][value={fact}]")).count():
            box.check()
    if reason:
        page.locator("[name=reason]").fill(reason)
    page.get_by_role("button", name="Show what will happen").click()
    page.get_by_role("heading", name="What will happen").wait_for()
    page.get_by_role("button", name=label, exact=True).click()


def messages(page: Page) -> str:
    return page.locator(".messagelist").inner_text()


@pytest.mark.parametrize("script", [True, False], ids=["scripts on", "scripts off"])
def test_from_an_order_reference_to_a_refund(
    account: Account, owner: User, agent: User, lead: User, open_as: OpenAs, script: bool
) -> None:
    at = clock.now()
    subscription = subscribe(account, at=at - 6 * DAY, cents=4900, order_reference="ORD-20417")

    page = open_as(agent, java_script_enabled=script) if not script else open_as(agent)
    find(page, "ord-20417")
    assert page.locator("h1").inner_text() == "Harbour"
    do(page, "Enter a request", reason="By mail, case 81", kind="refund", message="We bought the wrong plan.")
    request = SupportRequest.objects.get()
    assert f"{request.reference} is in the queue." in messages(page)
    do(
        page,
        "Propose a refund",
        reason="By mail, case 81",
        amount="49.00",
        payment_reference="ch_81",
        ends="now",
        request=str(request.pk),
    )
    refund = Refund.objects.get()
    assert "to be approved" in page.content()
    assert page.get_by_role("link", name="Approve the refund").count() == 0

    page = open_as(lead)
    find(page, request.reference)
    do(page, "Approve the refund", reason="Within thirty days")
    assert f"{refund.reference} over $49.00 is approved. Pay it in the payment system now" in messages(page)
    assert not Notice.objects.filter(kind="subscriptions/refund_paid").exists()
    find(page, request.reference)
    do(page, "I have paid it in our payment system", reason="Paid", payment_reference="re_81")
    assert f"$49.00 are paid back ({refund.reference})." in messages(page)
    sweeps.named("refunds").run(clock.now())

    page.reload()
    assert "refunded, and the end arranged" in page.content()
    subscription.refresh_from_db()
    assert not subscription.is_live(clock.now())
    request.refresh_from_db()
    assert (request.outcome, request.closed_at is not None) == ("refunded", True)
    assert Notice.objects.filter(kind="subscriptions/refund_paid", recipient=owner).count() == 1


def test_from_a_request_for_deletion_to_its_certificate(
    account: Account, owner: User, agent: User, lead: User, open_as: OpenAs
) -> None:
    at = clock.now()
    subscribe(account, at=at - 90 * DAY)
    made, _new = ask(account, kind=RequestKind.DELETION, message="We close.", by=Actor.owner(owner), at=at - DAY)

    page = open_as(agent)
    page.goto("/admin/accounts/supportrequest/")
    page.get_by_role("link", name=made.reference).click()
    do(page, "Write an internal note", text="Called back, it is she.")
    do(page, "Propose the deletion", reason="The owner asked while signed in")
    assert "waits for a second person" in page.content()
    assert page.get_by_role("link", name="Approve the deletion").count() == 0

    page = open_as(lead)
    page.goto(f"/admin/accounts/supportrequest/{made.pk}/change/")
    assert "Called back, it is she." in page.content()
    do(page, "Approve the deletion", reason="Looked through")
    assert "The deletion is approved" in messages(page)
    assert Subscription.objects.get().ends_at is not None

    due_at = Purge.objects.get().due_at
    # The charge is stopped by staff, in the payment system: nothing is erased before they say so.
    wish = Wish.objects.get()
    by_hand.say_done(wish, Want(wish.want), by=Actor.staff(lead), at=clock.now())
    for minute in range(3):
        sweeps.named("purge").run(due_at + timedelta(minutes=minute))
    find(page, str(account.pk))
    assert page.locator("h1").inner_text() == "An account that has been erased"
    page.get_by_role("link", name="Certificate 1").click()
    assert str(account.pk) in page.locator("main").inner_text()
    assert Certificate.objects.count() == 1
