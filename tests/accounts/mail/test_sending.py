"""Notices become mails: each once, in the reader's language and zone, however the mail server behaves."""

import email
import email.policy
import socket
from collections.abc import Iterator
from datetime import timedelta
from email.message import EmailMessage

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from django.db import IntegrityError, transaction
from pytest_django import Settings

from accounts.jobs.due_work import claim
from accounts.jobs.invariants import violations
from accounts.mail.notices import queue
from accounts.mail.sending import preview, send_due, write
from accounts.models import Account, Notice, User
from subscriptions.ending.cancellation import cancel
from tests.factories import NOW, BlueprintFactory, owner_of, subscribe

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)


class Postbox:
    """A mail server that keeps what it gets, or refuses it when told to."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.refusal = ""

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802  # its API
        if self.refusal:
            return self.refusal
        assert isinstance(envelope.content, bytes)
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        self.mails.append(message)
        return "250 OK"


@pytest.fixture
def postbox(settings: Settings) -> Iterator[Postbox]:
    box = Postbox()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    server = Controller(box, hostname="127.0.0.1", port=port)
    server.start()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST = "127.0.0.1"
    settings.EMAIL_PORT = port
    yield box
    server.stop()


def text_of(message: EmailMessage) -> str:
    body = message.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


def cancelled(account: Account) -> Notice:
    subscription = subscribe(account)
    cancel(subscription, by=owner_of(subscription), at=NOW)
    return Notice.objects.get(kind="subscriptions/cancellation_confirmed")


def test_a_mail_goes_out_once_whatever_runs_twice(account: Account, postbox: Postbox) -> None:
    notice = cancelled(account)
    assert send_due(NOW) == 1
    assert send_due(NOW) == 0
    assert send_due(NOW + timedelta(days=1)) == 0
    assert [mail["To"] for mail in postbox.mails] == ["owner@example.org"]
    notice.refresh_from_db()
    assert (notice.sent_at, notice.attempts, notice.last_error) == (NOW, 0, "")


def test_the_mail_says_what_the_page_says(account: Account, postbox: Postbox) -> None:
    BlueprintFactory.create_batch(2, account=account, grid="infinite")
    notice = cancelled(account)
    send_due(NOW)
    (mail,) = postbox.mails
    assert mail["Subject"] == f"Your subscription is cancelled ({notice.facts['reference']})"
    text = text_of(mail)
    assert "Everything works until Friday, April 17, 2026, 9:30\u202fAM (UTC); then the account is on Free." in text
    assert "2 blueprints on the infinite grid become read-only." in text
    assert "Nothing is deleted" in text
    assert "http://testserver/user/subscription/" in text
    html = mail.get_body(("html",))
    assert html is not None
    assert notice.facts["reference"] in html.get_content()


def test_the_mail_is_in_the_readers_language_and_zone(account: Account, owner: User, postbox: Postbox) -> None:
    owner.language, owner.time_zone = "fr", "America/New_York"
    owner.save()
    cancelled(account)
    send_due(NOW)
    (mail,) = postbox.mails
    assert mail["Content-Language"] == "fr"
    # 9:30 UTC is 5:30 in New York, where summer time has begun.
    assert "vendredi 17 avril 2026, 05:30 (EDT)" in text_of(mail)


def test_a_mail_keeps_its_message_id_for_ever(account: Account, postbox: Postbox) -> None:
    notice = cancelled(account)
    assert write(notice).message()["Message-ID"] == f"<notice-{notice.pk}@testserver>"
    send_due(NOW)
    assert postbox.mails[0]["Message-ID"] == f"<notice-{notice.pk}@testserver>"


def test_a_mail_server_that_fails_is_tried_again_with_growing_waits(account: Account, postbox: Postbox) -> None:
    notice = cancelled(account)
    postbox.refusal = "451 come back later"
    assert send_due(NOW) == 0
    notice.refresh_from_db()
    assert notice.next_attempt_at == NOW + MINUTE
    assert "451" in notice.last_error
    assert send_due(NOW + MINUTE - timedelta(seconds=1)) == 0
    assert send_due(NOW + MINUTE) == 0
    notice.refresh_from_db()
    assert (notice.attempts, notice.next_attempt_at) == (2, NOW + 3 * MINUTE)
    postbox.refusal = ""
    assert send_due(NOW + 3 * MINUTE) == 1
    assert len(postbox.mails) == 1


def test_a_mail_server_that_is_away_loses_nothing(account: Account, settings: Settings) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    notice = cancelled(account)
    assert send_due(NOW) == 0
    notice.refresh_from_db()
    assert notice.sent_at is None
    assert "ConnectionRefusedError" in notice.last_error


def test_a_notice_that_cannot_be_written_does_not_hold_up_the_others(
    account: Account, owner: User, postbox: Postbox
) -> None:
    queue("accounts/no_such_template", to=[owner], account=account, occasion="broken", at=NOW - MINUTE)
    cancelled(account)
    assert send_due(NOW) == 1
    broken = Notice.objects.get(occasion="broken")
    assert "TemplateDoesNotExist" in broken.last_error
    assert len(postbox.mails) == 1


def test_what_a_killed_worker_had_claimed_is_sent_when_its_lease_is_over(account: Account, postbox: Postbox) -> None:
    cancelled(account)
    assert claim(Notice.objects.due, NOW) is not None  # and then the worker dies
    assert send_due(NOW + Notice.LEASE - timedelta(seconds=1)) == 0
    assert send_due(NOW + Notice.LEASE) == 1
    assert len(postbox.mails) == 1


def test_an_occasion_is_queued_once_for_each_person(account: Account, owner: User, admin: User) -> None:
    for _time in range(2):
        queue("accounts/request_received", to=[owner, admin, None], account=account, occasion="same", at=NOW)
    assert Notice.objects.count() == 2
    notice = Notice.objects.all()[0]
    notice.pk = "11111111-2222-4333-8444-555555555555"
    with pytest.raises(IntegrityError, match="notice_once_an_occasion"), transaction.atomic():
        notice.save(force_insert=True)


def test_the_preview_lists_what_would_be_sent(account: Account) -> None:
    notice = cancelled(account)
    assert list(preview(NOW)) == [
        f"{account.pk} Harbour: mail subscriptions/cancellation_confirmed ({notice.occasion})"
    ]


def test_a_mail_that_waits_too_long_is_seen_by_staff(account: Account) -> None:
    cancelled(account)
    assert "unsent-mail" not in [violation.name for violation in violations(NOW + 15 * MINUTE)]
    (found,) = (v for v in violations(NOW + 16 * MINUTE) if v.name == "unsent-mail")
    assert found.count == 1
