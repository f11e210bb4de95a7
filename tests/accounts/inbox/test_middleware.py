"""Webhooks pass by the middleware of pages, and lose nothing by it that protects us."""

import json
import re
import uuid
from typing import Any

import pytest
from django.conf import settings as product
from django.test import Client
from django.utils import translation
from pytest_django import DjangoAssertNumQueries, Settings

from accounts.inbox import inbox
from accounts.models import Delivery, User
from marketplace.github.signature import sign

pytestmark = pytest.mark.django_db
WEBHOOK = "/marketplace/github/webhook/"
BODY = b"{}"


def knock(client: Client, *, host: str = "testserver", secure: bool = False) -> Any:
    """A delivery as GitHub sends it."""
    headers = {
        "Host": host,
        "X-GitHub-Event": "ping",
        "X-GitHub-Delivery": str(uuid.uuid4()),
        "X-Hub-Signature-256": sign("test-webhook-secret", BODY),
    }
    return client.post(WEBHOOK, BODY, content_type="application/json", headers=headers, secure=secure)


def test_the_doors_stand_right_behind_the_redirect_to_https() -> None:
    """Before them a request gets its id; between them only what can't be read by anybody is turned away."""
    assert product.MIDDLEWARE[:5] == [
        "accounts.core.log_context.RequestIdMiddleware",
        "django.middleware.security.SecurityMiddleware",
        "config.malformed.MalformedRequestMiddleware",
        "config.opening.OpeningMiddleware",
        "accounts.inbox.middleware.DoorsMiddleware",
    ]


def test_a_delivery_passes_by_the_middleware_of_pages() -> None:
    answer = knock(Client())
    assert answer.status_code == 202
    assert dict(answer.items()) == {
        "Content-Type": "application/json",
        "Content-Length": "22",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "X-Request-ID": answer["X-Request-ID"],
    }
    assert re.fullmatch(r"[0-9a-f]{32}", answer["X-Request-ID"])


def test_a_session_is_not_even_looked_at(django_assert_num_queries: DjangoAssertNumQueries, owner: User) -> None:
    client = Client()
    client.force_login(owner)
    with django_assert_num_queries(1):
        assert knock(client).status_code == 202


def test_a_page_still_passes_all_its_middleware() -> None:
    answer = Client().get("/")
    assert answer.status_code == 302
    assert answer["Location"] == "/auth/login/?next=/"
    assert "Content-Security-Policy" in answer.headers
    assert "Cookie" in answer["Vary"]


def test_a_host_that_is_not_ours_is_refused_in_json(settings: Settings) -> None:
    settings.ALLOWED_HOSTS = ["blueprints.example"]
    assert knock(Client(), host="blueprints.example").status_code == 202
    refused = knock(Client(), host="elsewhere.example")
    assert (refused.status_code, json.loads(refused.content)["error"]) == (400, "bad_request")
    assert Delivery.objects.count() == 1


def test_plain_http_is_sent_to_https_where_the_site_is_https(settings: Settings) -> None:
    settings.SECURE_SSL_REDIRECT = True
    settings.SECURE_HSTS_SECONDS = 60
    refused = knock(Client())
    assert (refused.status_code, refused["Location"]) == (301, f"https://testserver{WEBHOOK}")
    assert not Delivery.objects.exists()
    accepted = knock(Client(), secure=True)
    assert (accepted.status_code, accepted["Strict-Transport-Security"][:10]) == (202, "max-age=60")


def test_an_error_of_ours_is_said_in_json(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> bool:
        raise RuntimeError

    monkeypatch.setattr(inbox, "accept", fail)
    answer = knock(Client(raise_request_exception=False))
    assert (answer.status_code, json.loads(answer.content)["error"]) == (500, "internal_server_error")


def test_an_error_speaks_english_whoever_was_answered_before(settings: Settings) -> None:
    settings.ALLOWED_HOSTS = ["blueprints.example"]
    with translation.override("fr"):
        answer = knock(Client(), host="elsewhere.example")
    assert json.loads(answer.content)["message"] == "The request could not be read. Nothing was changed."


@pytest.mark.parametrize("door", ["/marketplace/aws/sns/", "/marketplace/aws/events/"])
def test_awss_doors_pass_by_the_middleware_of_pages_too(door: str, owner: User) -> None:
    client = Client()
    client.force_login(owner)
    answer = client.get(door)
    assert answer.status_code == 405
    assert "Content-Security-Policy" not in answer.headers
    assert "Vary" not in answer.headers
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
