"""The log: no addresses, no links that open something, no names of owners, no rows."""

import json
import logging
import sys
from collections.abc import Callable

import pytest
from celery.signals import setup_logging
from django.test import Client

from accounts.core import clock
from accounts.core.log_context import ContextFilter, about
from accounts.customers.history import Actor
from accounts.exports.builder import export_due
from accounts.exports.export import ask, link_token
from accounts.models import Account, Export, User
from config.celery import keep_our_logging
from config.logs import JsonLine, LogLine, scrub

SignIn = Callable[[User | None], Client]


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Callable[[], str]:
    """What the log would say, as it is written."""
    caplog.set_level(logging.INFO)
    return lambda: "\n".join(LogLine().format(record) for record in caplog.records)


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("no mail to <Jane.Doe@Example.org>, sorry", "no mail to <<address>>, sorry"),
        ("Key (email)=(jane@example.org) already exists.", "Key (email)=(<address>) already exists."),
        ("{'jane@example.org': (550, b'no')}", "{'<address>': (550, b'no')}"),
        ("Not Found: /user/export/WyJh:1w:x-Y_z/", "Not Found: /user/export/…/"),
        ("Forbidden: /auth/password/reset/key/1-abc-def/", "Forbidden: /auth/password/reset/key/…/"),
        ("/auth/confirm-email/MQ:1w:x/?a=b", "/auth/confirm-email/…/?a=b"),
        ("Gone: /marketplace/aws/register/AbC_-1/", "Gone: /marketplace/aws/register/…/"),
        ("Gone: /marketplace/aws/register/join/", "Gone: /marketplace/aws/register/join/"),
        ("failed\nDETAIL:  Failing row contains (7, Olga).\nelse", "failed\nDETAIL: …\nelse"),
        ("account 3f0e@ 12:00, user@host", "account 3f0e@ 12:00, user@host"),
    ],
)
def test_a_line_is_scrubbed(said: str, written: str) -> None:
    assert scrub(said) == written


def test_tracebacks_are_scrubbed_as_well(lines: Callable[[], str], caplog: pytest.LogCaptureFixture) -> None:
    try:
        raise ValueError("jane@example.org")
    except ValueError:
        logging.getLogger("any").exception("it failed")
    assert "ValueError: <address>" in lines()


def test_workers_write_as_the_web_server_does() -> None:
    """Celery sets its own formatters up only where nobody listens to this signal."""
    assert setup_logging.send(sender=None) == [(keep_our_logging, None)]


def record(message: str, **extra: object) -> logging.LogRecord:
    made = logging.Logger("any").makeRecord("any", logging.WARNING, "", 0, message, (), None, extra=extra)
    ContextFilter().filter(made)
    made.created, made.msecs = 1_767_225_600.0, 250.0
    return made


def test_a_line_says_when_and_what_it_is_about() -> None:
    with about(sweep="settle"), about(row="subscriptions.Subscription 7", account=None):
        written = LogLine().format(record("it failed"))
    expected = "2026-01-01T00:00:00.250Z WARNING any: it failed [sweep=settle row=subscriptions.Subscription 7]"
    assert written == expected
    assert LogLine().format(record("it failed")) == "2026-01-01T00:00:00.250Z WARNING any: it failed"


def test_for_machines_a_line_is_one_object_without_what_libraries_add() -> None:
    with about(request="abc"):
        written = JsonLine().format(record("to jane@example.org", request=object(), user="Olga"))
    assert json.loads(written) == {
        "time": "2026-01-01T00:00:00.250Z",
        "level": "WARNING",
        "logger": "any",
        "message": "to <address>",
        "request": "abc",
    }


@pytest.mark.parametrize(
    ("told", "named"), [("from-the-proxy_1", True), ("<script>", False), ("", False), ("x" * 65, False)]
)
def test_a_request_bears_one_name_in_log_and_answer(told: str, named: bool) -> None:
    answer = Client().get("/healthz/", headers={"X-Request-ID": told})
    assert (answer["X-Request-ID"] == told) is named
    assert len(answer["X-Request-ID"]) >= 16


def test_a_line_for_machines_is_scrubbed_as_well() -> None:
    refused = "refused\nDETAIL:  Failing row contains (7, Olga, jane@example.org).\nelse"
    try:
        raise ValueError(refused)
    except ValueError:
        record = logging.LogRecord("any", logging.ERROR, "", 0, "Gone: %s", ("/user/export/key/",), sys.exc_info())
    told = json.loads(JsonLine().format(record))
    assert told["message"] == "Gone: /user/export/…/"
    assert "Olga" not in told["exc_info"]
    assert told["exc_info"].endswith("refused\nDETAIL: …\nelse")


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/user/subscription/cancellation/", "/user/export/"])
def test_the_log_does_not_say_who_the_owner_is(
    account: Account, owner: User, admin: User, sign_in: SignIn, lines: Callable[[], str], path: str
) -> None:
    posted = {"kind": "deletion", "message": "", "account": str(account.pk)}
    answer = sign_in(admin).post(path, posted)
    assert answer.status_code == 403
    assert owner.name in answer.content.decode()
    assert owner.name not in lines()
    assert "Traceback" not in lines()
    assert path in lines()


@pytest.mark.django_db
def test_the_log_holds_no_link_of_an_export(
    account: Account, owner: User, stranger: User, sign_in: SignIn, lines: Callable[[], str]
) -> None:
    export, _new = ask(account, by=Actor.owner(owner), at=clock.now())
    export_due(export.asked_at)
    token = link_token(Export.objects.get(), owner)
    assert sign_in(stranger).get(f"/user/export/{token}/").status_code == 404
    assert "/user/export/…/" in lines()
    assert token not in lines()
