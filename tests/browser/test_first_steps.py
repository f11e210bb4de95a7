"""From an empty database to the first account, in a browser: the way of the first member of staff."""

import re
from io import StringIO

import pytest
from django.core.management import call_command
from playwright.sync_api import expect
from pytest_django import Settings

from accounts.models import Account
from subscriptions.models import Plan, Price
from tests.browser.conftest import OpenWindow
from tests.config.test_admin_site import code
from tests.factories import PASSWORD

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)


def test_the_first_lead_comes_in_by_the_printed_link_and_serves_a_first_customer(
    open_window: OpenWindow, settings: Settings
) -> None:
    settings.STAFF_SECOND_FACTOR = True
    Price.objects.all().delete()
    Plan.objects.exclude(code="free").delete()
    out = StringIO()
    call_command("staff", "ada@vendor.example", "--role", "lead", stdout=out)
    link = re.search(r"/auth/password/reset/key/\S+/", out.getvalue())
    assert link
    page = open_window()

    page.goto(link[0])
    page.locator("input[name=password1]").fill(PASSWORD)
    page.locator("input[name=password2]").fill(PASSWORD)
    page.locator("main button").click()
    page.goto("/admin/")
    page.locator("input[name=login]").fill("ada@vendor.example")
    page.locator("input[name=password]").fill(PASSWORD)
    page.locator("main button").click()

    # The second factor, its recovery codes, and the desk: asked for once.
    expect(page).to_have_url(re.compile("/auth/2fa/totp/activate/"))
    secret = re.search(r"[A-Z2-7]{32}", page.content())
    assert secret
    page.locator("input[name=code]").fill(code(secret[0]))
    page.locator("main form button").first.click()
    page.get_by_role("link", name="I have kept them: to the support desk").click()
    expect(page.get_by_role("heading", name="First steps")).to_be_visible()

    page.get_by_role("link", name="Plans", exact=True).first.click()
    page.locator("input[name=code]").fill("team")
    page.locator("input[name=name]").fill("Team")
    page.locator("input[name=features]").first.check()
    page.locator("input[name=monthly]").fill("19.90")
    page.locator("textarea[name=reason]").fill("What we sell")
    page.get_by_role("button", name="Show what will happen").click()
    expect(page.get_by_text("The plan Team can be bought from now on.")).to_be_visible()
    page.get_by_role("button", name="New plan").click()
    expect(page.get_by_role("link", name="Team")).to_be_visible()
    assert [(price.cents, price.plan_id) for price in Price.objects.all()] == [(1990, "team")]

    page.goto("/admin/")
    page.get_by_role("link", name="A first account").click()
    page.locator("input[name=name]").fill("Harbour")
    page.locator("input[name=owner]").fill("olivia@customer.example")
    page.locator("textarea[name=reason]").fill("Their first order")
    page.get_by_role("button", name="Show what will happen").click()
    page.get_by_role("button", name="Open an account").click()
    expect(page.get_by_role("link", name="Harbour")).to_be_visible()
    assert Account.objects.get().name == "Harbour"

    page.goto("/admin/")
    expect(page.get_by_role("heading", name="First steps")).to_have_count(0)
