"""A GitHub to talk to, at the address that the settings know."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from django.test import Client
from pytest_django import Settings

from accounts import sweeps
from accounts.models import Account
from marketplace import inbox
from marketplace.github.customer import Customer
from marketplace.models import Source
from tests.factories import NOW
from tests.fakes.github import Account as Buyer
from tests.fakes.github import Delivery, FakeGitHub

WEBHOOK = "/marketplace/github/webhook/"


@pytest.fixture(scope="session")
def one_github() -> Iterator[FakeGitHub]:
    with FakeGitHub() as github:
        yield github


@pytest.fixture
def github(one_github: FakeGitHub, settings: Settings) -> FakeGitHub:
    """A fresh GitHub at `NOW`, with our app's credentials in the settings."""
    one_github.clear()
    one_github.now = NOW
    settings.GITHUB_API_URL = one_github.url
    settings.GITHUB_WEB_URL = one_github.web_url
    settings.GITHUB_CLIENT_ID = one_github.client_id
    settings.GITHUB_CLIENT_SECRET = one_github.client_secret
    settings.GITHUB_WEBHOOK_SECRETS = [one_github.webhook_secret]
    settings.GITHUB_MUTATION_PAUSE = 0
    return one_github


def deliver(delivery: Delivery, at: datetime) -> None:
    """Put a delivery into the inbox as the webhook does, at an instant."""
    inbox.accept(
        Source.GITHUB,
        delivery_id=delivery.guid,
        event=delivery.event,
        content_type=delivery.content_type,
        body=delivery.body,
        at=at,
    )


def post(delivery: Delivery) -> int:
    """Post a delivery to the webhook, as GitHub does."""
    headers = {name: value for name, value in delivery.headers.items() if name != "Content-Type"}
    return Client().post(WEBHOOK, delivery.body, content_type=delivery.content_type, headers=headers).status_code


@dataclass
class World:
    """Both sides, and time: what GitHub does is delivered, and the sweeps run as of `now`."""

    github: FakeGitHub
    now: datetime = NOW

    def hears(self, *deliveries: Delivery) -> None:
        for delivery in deliveries:
            deliver(delivery, self.now)
        self.run("deliveries")

    def run(self, *names: str) -> None:
        for name in names:
            sweeps.named(name).run(self.now)

    def passes(self, time: timedelta) -> None:
        self.now += time
        self.github.now = self.now

    def account_of(self, buyer: Buyer) -> Account:
        return Customer.objects.get(github_id=buyer.id).account


@pytest.fixture
def world(github: FakeGitHub, db: None) -> World:
    return World(github)
