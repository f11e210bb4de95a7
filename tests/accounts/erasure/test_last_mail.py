"""The owner of an erased account gets one last mail, with the proof; then nothing of them is left here."""

import re
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from django.core import mail
from django.db import IntegrityError, transaction
from django.test import Client
from pytest_django import Settings

from accounts.customers.history import Actor
from accounts.erasure import last_mail
from accounts.erasure.last_mail import KEPT_AT_MOST, TRIED_FOR, LastMail, send_due
from accounts.erasure.runner import take_turn
from accounts.jobs import invariants
from accounts.models import Account, Certificate, Event, Hold, Membership, Purge, Role, User
from tests.accounts.erasure.dumping import lines_with
from tests.accounts.erasure.purging import erase_all, oblige, start_due
from tests.factories import NOW, AccountFactory, UserFactory

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)
#: Where nobody listens.
NO_SERVER = {"EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend", "EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": 1}


@pytest.fixture
def owner() -> User:
    return UserFactory(email="odile@zqmk71x.example", language="fr", time_zone="Europe/Paris")


@pytest.fixture
def account(owner: User) -> Account:
    return AccountFactory(owner=owner)


def link_in(message: str) -> str:
    found = re.search(r"http\S+/certificates/\S+", message)
    assert found, message
    parts = urlsplit(found[0])
    return f"{parts.path}?{parts.query}"


def events_of(account: Account) -> list[str]:
    return list(
        Event.objects.filter(account_id=account.pk, kind__startswith="certificate.").values_list("kind", flat=True)
    )


def erased(account: Account) -> LastMail:
    """The last mail of an account that has just been erased; released after NOW by what the erasing took."""
    erase_all(account)
    return LastMail.objects.get(purge__account_id=account.pk)


def test_the_owner_gets_the_certificate_in_their_language_and_the_address_is_gone(account: Account) -> None:
    row = erased(account)
    assert row.sealed
    assert mail.outbox == []

    assert send_due(NOW + DAY) == 1

    (sent,) = mail.outbox
    number = Certificate.objects.get().number
    assert (sent.to, sent.subject) == (
        ["odile@zqmk71x.example"],
        "Vos données ont été effacées\xa0: en voici la preuve",
    )
    assert sent.extra_headers["Content-Language"] == "fr"
    assert sent.extra_headers["Message-ID"].startswith(f"<certificate-{number}@")
    assert str(account.pk) in sent.body
    assert account.name not in sent.body
    assert link_in(str(sent.body)).endswith("?language=fr&time_zone=Europe%2FParis")
    row = LastMail.objects.get(pk=row.pk)
    assert row.sealed is None
    assert (row.sent_at, row.last_error) == (NOW + DAY, "")
    assert events_of(account) == ["certificate.sent"]
    assert send_due(NOW + 200 * DAY) == 0
    assert len(mail.outbox) == 1


def test_the_link_opens_without_an_account_and_names_nobody(account: Account, owner: User) -> None:
    name = account.name
    erased(account)
    send_due(NOW + DAY)
    link = link_in(str(mail.outbox[0].body))
    page = Client().get(link)
    text = page.content.decode()
    assert page.status_code == 200
    assert (page.headers["Referrer-Policy"], page.headers["X-Robots-Tag"]) == ("no-referrer", "noindex, nofollow")
    assert page.headers["Cache-Control"] == "private, no-store"
    assert str(account.pk) in text
    assert '<html lang="fr">' in text
    assert "Europe/Paris" in text
    assert not any(personal in text for personal in (name, owner.email, owner.name))
    record = Client().get(f"{urlsplit(link).path}record/")
    assert record.content.decode() == Certificate.objects.get().as_json()
    assert record.headers["Content-Disposition"] == 'attachment; filename="certificate-1.json"'
    # It stays: an auditor may come in years.
    assert Client().get(link).status_code == 200


def test_no_link_is_found_here_nor_guessed(account: Account) -> None:
    erased(account)
    send_due(NOW + DAY)
    token = urlsplit(link_in(str(mail.outbox[0].body))).path.split("/")[2]
    assert len(token) == 43
    row = LastMail.objects.get()
    assert row.link == last_mail.digest(token)
    for wrong in (row.link, token[:-1], token + "A", token.swapcase(), "1", "é"):
        assert Client().get(f"/certificates/{wrong}/").status_code == 404, wrong
        assert Client().get(f"/certificates/{wrong}/record/").status_code == 404, wrong


def test_nothing_of_the_address_is_readable_while_it_waits_and_nothing_is_left_after(account: Account) -> None:
    erased(account)
    assert lines_with("zqmk71x") == []
    send_due(NOW + DAY)
    assert lines_with("zqmk71x") == []
    assert not LastMail.objects.filter(sealed__isnull=False).exists()


def test_the_certificate_says_that_an_address_is_kept_for_the_mail_and_until_when(account: Account) -> None:
    erased(account)
    (entry,) = [kept for kept in Certificate.objects.get().body["kept"] if kept["what"] == "accounts.LastMail"]
    row = LastMail.objects.get()
    assert entry["until"] == row.keep_until.isoformat()
    assert row.released_at is not None
    assert row.keep_until == row.released_at + TRIED_FOR


def test_a_mail_server_that_is_away_is_tried_again_and_its_words_are_not_kept(
    account: Account, settings: Settings
) -> None:
    erased(account)
    for name, value in NO_SERVER.items():
        setattr(settings, name, value)
    assert send_due(NOW + DAY) == 0
    row = LastMail.objects.get()
    assert (row.last_error, row.attempts, row.sent_at) == ("ConnectionRefusedError", 1, None)
    assert [fault.name for fault in invariants.violations(NOW + DAY) if fault.name == "last-mail-unsent"]
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    assert send_due(NOW + DAY + timedelta(minutes=1)) == 1
    assert len(mail.outbox) == 1


def test_a_mail_that_nobody_takes_for_a_week_goes_unsent_and_so_does_its_link(
    account: Account, settings: Settings
) -> None:
    row = erased(account)
    for name, value in NO_SERVER.items():
        setattr(settings, name, value)
    send_due(NOW + 6 * DAY)
    assert LastMail.objects.get().next_attempt_at <= row.keep_until
    assert send_due(NOW + 8 * DAY) == 1
    row.refresh_from_db()
    assert (row.sealed, row.sent_at, row.given_up_at, row.link) == (None, None, NOW + 8 * DAY, None)
    assert events_of(account) == ["certificate.unsent"]


def test_an_address_is_gone_after_120_days_whatever_the_erasing_waits_for(account: Account) -> None:
    purge = oblige(account)
    start_due(NOW)
    Hold.objects.create(
        account_id=account.pk,
        set_by=UserFactory(),
        set_at=NOW,
        until=NOW + 300 * DAY,
        reason="A case.",
        confirmed_at=NOW,
        confirmed_by=UserFactory(),
    )
    assert not take_turn(purge, NOW)
    assert send_due(NOW + KEPT_AT_MOST - DAY) == 0
    assert send_due(NOW + KEPT_AT_MOST) == 1
    assert take_turn(purge, NOW + 301 * DAY)
    assert send_due(NOW + 302 * DAY) == 0
    assert mail.outbox == []
    assert events_of(account) == ["certificate.unsent"]
    assert Certificate.objects.count() == 1


def test_whoever_has_another_account_is_told_where_they_are_reached_now(account: Account, owner: User) -> None:
    other = AccountFactory(owner=owner)
    purge = oblige(account)
    start_due(NOW)
    owner.email, owner.language = "odile@moved.example", "en"
    owner.save()
    assert take_turn(purge, NOW)
    send_due(NOW + DAY)
    (sent,) = mail.outbox
    assert (sent.to, sent.subject) == (["odile@moved.example"], "Your data has been erased: here is the proof")
    assert str(account.pk) in sent.body
    assert other.name not in sent.body
    assert User.objects.filter(pk=owner.pk).exists()


def test_both_accounts_of_one_person_bring_a_mail_each(account: Account, owner: User) -> None:
    other = AccountFactory(owner=owner)
    erased(account)
    erased(other)
    assert send_due(NOW + DAY) == 2
    assert sorted(str(account.pk) in sent.body for sent in mail.outbox) == [False, True]
    assert sorted(str(other.pk) in sent.body for sent in mail.outbox) == [False, True]
    assert {tuple(sent.to) for sent in mail.outbox} == {(owner.email,)}


def test_members_who_do_not_own_the_account_get_none(account: Account, owner: User) -> None:
    Membership.objects.create(account=account, user=UserFactory(), role=Role.ADMIN)
    erased(account)
    send_due(NOW + DAY)
    assert [sent.to for sent in mail.outbox] == [[owner.email]]


def test_what_is_called_off_before_it_begins_sets_nothing_aside(account: Account) -> None:
    from accounts.erasure.scheduling import call_off

    oblige(account)
    call_off(account, at=NOW, by=Actor.system())
    assert not LastMail.objects.exists()


def test_what_is_erased_again_after_a_restore_is_not_told_again(account: Account) -> None:
    """The backup may be of any moment: before the beginning, or with an address set aside already."""
    purge = oblige(account)
    start_due(NOW)
    assert LastMail.objects.get().sealed is not None
    Purge.objects.filter(pk=purge.pk).update(erased_before_at=NOW)
    assert take_turn(Purge.objects.get(), NOW)
    assert LastMail.objects.get().given_up_at is not None
    send_due(NOW + DAY)
    assert mail.outbox == []


def test_a_worker_killed_after_the_handing_over_sends_the_same_mail_again(account: Account) -> None:
    row = erased(account)
    row = LastMail.objects.select_related("purge__certificate").get(pk=row.pk)
    last_mail.write(row, last_mail._opened(row)).send()
    send_due(NOW + DAY)
    first, second = mail.outbox
    assert first.extra_headers["Message-ID"] == second.extra_headers["Message-ID"]
    assert first.body == second.body


def test_the_database_refuses_a_sent_mail_that_still_has_its_address(account: Account) -> None:
    erased(account)
    with pytest.raises(IntegrityError, match="last_mail_has_its_address_until_it_is_over"), transaction.atomic():
        LastMail.objects.update(sent_at=NOW)


def test_the_desk_shows_where_the_last_mail_stands(account: Account, lead: User, sign_in: object) -> None:
    assert callable(sign_in)
    desk, page = sign_in(lead), f"/admin/accounts/account/{account.pk}/change/"
    purge = oblige(account)
    start_due(NOW)
    assert "waits for the proof; the address goes at the latest:" in desk.get(page, follow=True).content.decode()
    take_turn(purge, NOW)
    assert "is being sent; the address goes at the latest:" in desk.get(page, follow=True).content.decode()
    send_due(NOW + DAY)
    assert "sent with the certificate; the address is gone:" in desk.get(page, follow=True).content.decode()
