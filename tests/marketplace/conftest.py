"""A GitHub and an AWS to talk to, at the addresses that the settings know."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from django.core.cache import caches
from django.test import Client
from pytest_django import Settings

from accounts.inbox import inbox
from accounts.inbox.sources import SOURCES
from accounts.jobs import sweeps
from accounts.models import Account
from marketplace.github.customer import GitHubCustomer
from marketplace.github.payloads import accounts_in
from tests.factories import NOW
from tests.fakes.aws import FakeAWS
from tests.fakes.aws.state import SELLER
from tests.fakes.github import Account as Buyer
from tests.fakes.github import Delivery, FakeGitHub
from tests.marketplace.aws.world import AwsWorld

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


@pytest.fixture(scope="session")
def one_aws() -> Iterator[FakeAWS]:
    with FakeAWS() as aws:
        yield aws


@pytest.fixture
def aws(one_aws: FakeAWS, settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeAWS:
    """A fresh AWS at `NOW`, with one product of ours, and its addresses, topics and token in the settings."""
    one_aws.clear()
    # Which registration tokens were refused is remembered there, and the fake has the same ones each time.
    caches["default"].clear()
    one_aws.now = NOW
    product = one_aws.product()
    trust = tmp_path / "trust.pem"
    trust.write_bytes(one_aws.trust)
    settings.AWS_ENDPOINT_URL = one_aws.url
    settings.AWS_SNS_CERTIFICATE_URL = one_aws.url
    settings.AWS_SNS_TRUST_FILE = str(trust)
    settings.AWS_SNS_TOPIC_ARNS = product.topics
    settings.AWS_PRODUCT_CODES = [product.code]
    settings.AWS_PRODUCT_IDS = [product.id]
    settings.AWS_SELLER_ACCOUNT_IDS = [SELLER]
    settings.AWS_EVENTS_TOKEN = [one_aws.events_token]
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "AKIATEST")
    return one_aws


def deliver(delivery: Delivery, at: datetime) -> None:
    """Put a delivery into the inbox as the webhook does, at an instant."""
    inbox.accept(
        SOURCES.named("github"),
        delivery_id=delivery.guid,
        event=delivery.event,
        content_type=delivery.content_type,
        body=delivery.body,
        at=at,
        hook=delivery.headers["X-GitHub-Hook-ID"],
        named=accounts_in(delivery.payload),
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
        return GitHubCustomer.objects.get(github_id=buyer.id).account


@pytest.fixture
def world(github: FakeGitHub, db: None) -> World:
    return World(github)


@pytest.fixture
def cloud(aws: FakeAWS, db: None) -> AwsWorld:
    return AwsWorld(aws)
