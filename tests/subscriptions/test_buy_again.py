"""Whoever reads that they can subscribe again finds where: `BUY_URL`. Without it nothing speaks of it."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.core import mail
from django.test import Client
from pytest_django import Settings

from accounts.blueprints.models import Grid
from accounts.core import clock
from accounts.mail.sending import send_due
from accounts.models import Account, User
from subscriptions.ending.settling import settle_due
from tests.factories import BlueprintFactory, subscribe

pytestmark = pytest.mark.django_db
SignIn = Callable[[User | None], Client]
SHOP = "https://shop.example/plans"


@pytest.fixture
def pages(account: Account) -> list[str]:
    """Where an account that has ended is told so: its settings, a read-only blueprint, and what Free does not have."""
    at = clock.now()
    subscribe(account, at=at - timedelta(days=60), ends_at=at - timedelta(days=1))
    settle_due(at)
    blueprint = BlueprintFactory(account=account, grid=Grid.INFINITE)
    return [
        "/user/subscription/",
        "/user/subscription/cancellation/",
        f"/blueprints/{blueprint.pk}/",
        f"/blueprints/{blueprint.pk}/live/",
    ]


def test_pages_lead_to_where_one_subscribes_again(
    pages: list[str], owner: User, sign_in: SignIn, settings: Settings
) -> None:
    settings.BUY_URL = SHOP
    client = sign_in(owner)
    for page in pages:
        assert f'href="{SHOP}"' in client.get(page).content.decode(), page


def test_without_an_address_no_page_speaks_of_it(pages: list[str], owner: User, sign_in: SignIn) -> None:
    client = sign_in(owner)
    for page in pages:
        assert "ubscribe again" not in client.get(page).content.decode(), page


@pytest.mark.parametrize("address", [SHOP, ""])
def test_the_mail_about_the_end_leads_there_too(
    address: str, pages: list[str], owner: User, settings: Settings
) -> None:
    settings.BUY_URL = address
    send_due(clock.now())
    (ended,) = [message for message in mail.outbox if "has ended" in message.subject]
    assert ("To subscribe again:" in ended.body) is bool(address)
    assert (SHOP in ended.body) is bool(address)
    assert not ended.body.endswith("\n\n\n")
