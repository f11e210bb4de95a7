"""First steps: shown until what is needed is there, and gone then."""

from collections.abc import Callable

import pytest
from django.test import Client
from pytest_django import Settings

from accounts.core import clock
from accounts.desk.dashboard import first_steps
from accounts.models import Account, Notice, User
from subscriptions import catalogue
from subscriptions.models import Interval, Plan, Price
from tests.factories import AccountFactory

pytestmark = pytest.mark.django_db
SignIn = Callable[[User | None], Client]


@pytest.fixture
def nothing_sold() -> None:
    Price.objects.all().delete()
    Plan.objects.exclude(code="free").delete()


def missing() -> list[str]:
    return [seen.step.name for seen in first_steps.missing() if seen.is_needed and not seen.is_done]


@pytest.mark.usefixtures("nothing_sold")
def test_each_step_is_done_when_it_is_so(lead: User) -> None:
    assert missing() == ["plans", "prices", "account"]
    plan = catalogue.make_plan("team", "Team", [], at=clock.now())
    assert missing() == ["prices", "account"]
    catalogue.set_price(plan, interval=Interval.MONTHLY, currency="USD", cents=1900, at=clock.now())
    assert missing() == ["account"]
    AccountFactory()
    assert missing() == []
    assert first_steps.missing() == []


def test_a_real_server_needs_a_name_mail_and_a_second_lead(
    lead: User, account: Account, owner: User, settings: Settings
) -> None:
    settings.SITE_URL, settings.BRAND_NAME = "https://app.example", "app.example"
    assert missing() == ["second-lead", "brand", "mail"]
    settings.BRAND_NAME = "Harbour Diagrams"
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    assert missing() == ["second-lead", "mail"]
    at = clock.now()
    Notice.objects.create(
        account=account, recipient=owner, kind="a/b", occasion="c", queued_at=at, next_attempt_at=at, sent_at=at
    )
    assert missing() == ["second-lead"]


@pytest.mark.usefixtures("nothing_sold")
def test_the_first_page_leads_to_each_of_them(lead: User, sign_in: SignIn) -> None:
    page = sign_in(lead).get("/admin/").content.decode()
    assert "First steps" in page
    for link in ("/admin/act/new_plan/new/", "/admin/subscriptions/plan/", "/admin/act/open_account/new/"):
        assert f'href="{link}"' in page
        assert sign_in(lead).get(link).status_code == 200


def test_the_first_page_says_nothing_of_them_once_they_are_done(lead: User, account: Account, sign_in: SignIn) -> None:
    assert "First steps" not in sign_in(lead).get("/admin/").content.decode()
