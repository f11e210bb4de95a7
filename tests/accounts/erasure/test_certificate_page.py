"""The certificate for people: what the machine's record says, in words that its reader knows."""

import html
import json
import re
from datetime import date, timedelta
from typing import Any

import pytest
from django.template.loader import render_to_string
from django.test import Client
from django.utils import translation

from accounts.erasure import certificate_words, hash_chain, inventory
from accounts.erasure.certificate_page import CertificatePage
from accounts.models import Account, Certificate, Purge, User
from tests.accounts.erasure.purging import erase_all
from tests.factories import NOW, BlueprintFactory, UserFactory, subscribe

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)
#: A certificate as they were issued before there were pages for people, byte for byte.
OLD_BODY: dict[str, Any] = {
    "account": "6f1c2a34-1111-4222-8333-944445555666",
    "cause": "customer_request",
    "deadline_at": "2026-02-01T00:00:00+00:00",
    "deadline_met": False,
    "due_at": "2026-01-25T00:00:00+00:00",
    "elsewhere": [{"where": "Stripe", "what": "invoices", "why": "tax law", "until": "2036-01-26"}],
    "erased": {"accounts.Blueprint": 3, "accounts.CloudConnection": 0, "accounts.User": 1, "search index": 12},
    "finished_at": "2026-02-02T03:00:00+00:00",
    "holds": [{"set_at": "2026-01-20T00:00:00+00:00", "until": None, "confirmed_at": None, "released_at": None}],
    "kept": [
        {"what": "accounts.Event", "reason": "A reason of those days.", "ground": "A ground.", "scrubbed": ""},
        {"what": "cache", "reason": "Counters.", "ground": "", "scrubbed": ""},
    ],
    "left": 0,
    "number": 1,
    "received_at": "2026-01-01T12:00:00+00:00",
    "replay_of": None,
    "started_at": "2026-02-02T02:00:00+00:00",
    "verified_at": "2026-02-02T03:00:00+00:00",
}


def read(account: Account, **asked: str) -> str:
    """The page of the account's certificate as staff see it, without its markup."""
    number = Certificate.objects.get(account_id=account.pk).number
    client = Client()
    client.force_login(User.objects.get(email="lead@desk.example"))
    page = client.get(f"/admin/accounts/certificate/{number}/print/", asked)
    assert page.status_code == 200
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page.content.decode())).split())


@pytest.fixture
def lead(lead: User) -> User:
    User.objects.filter(pk=lead.pk).update(email="lead@desk.example")
    return lead


def test_every_store_of_the_inventory_has_words_and_a_group_of_its_own() -> None:
    names = {certificate_words.without_part(store.name) for store in inventory.stores()}
    names |= {eraser.name for eraser in inventory.erasers()} | {"files", "mail folder"}
    lost = {name for name in names if certificate_words.group_of(name).place >= certificate_words.UNGROUPED}
    assert lost == set()
    said: dict[str, str] = {}
    for name in sorted(names):
        words = certificate_words.words_of(name)
        assert not re.search(r"[._]|relationship", words), name
        assert words not in said, f"{name} and {said[words]} are both called {words}"
        said[words] = name


def test_what_is_kept_about_the_account_has_words_too() -> None:
    kept = [entry.name for entry in inventory.kept() if entry.ground]
    assert all(not re.search(r"[._]", certificate_words.words_of(name)) for name in kept)


def test_the_page_groups_what_was_erased_and_folds_zeros_away(account: Account, lead: User) -> None:
    for _number in range(3):
        BlueprintFactory(account=account)
    erase_all(account)
    page = CertificatePage(Certificate.objects.get())
    first = page.sections[0]
    assert (first.title, [(line.words, line.count) for line in first.lines]) == (
        "Blueprints and cloud connections",
        [("Blueprints", 3)],
    )
    assert all(line.count for section in page.sections for line in section.lines)
    assert "Cloud connections" in page.nothing
    assert "Blueprints" not in page.nothing
    said = read(account)
    assert "Blueprints 3" in said
    assert "accounts." not in said
    assert "What is kept here, why, and until when" in said
    assert "The history of the account : what happened, when, by which id; no names and no texts." in said


def test_what_was_emptied_is_told_apart_from_what_was_erased(account: Account) -> None:
    erase_all(account)
    certificate = Certificate.objects.get()
    certificate.body = {**certificate.body, "erased": {"accounts.Delivery": 2, "accounts.Notice (to people who go)": 1}}
    (section,) = CertificatePage(certificate).sections
    assert [(line.words, line.count, line.is_emptied) for line in section.lines] == [
        ("Emails to people", 1, False),
        ("Messages from marketplaces and payment providers", 2, True),
    ]
    assert CertificatePage(certificate).total == 1


def test_dates_are_the_readers_and_utc_beside(account: Account, lead: User) -> None:
    erase_all(account)
    said = read(account, language="fr", time_zone="Europe/Paris")
    assert "Attestation d’effacement n°" in said
    # NOW is 9:30 UTC in winter.
    assert (
        "mardi 17 mars 2026 à 10:30 (CET) 2026-03-17 09:30:00 UTC" in said
        or "10:30 (CET) 2026-03-17 09:30:00 UTC" in said
    )
    said = read(account, language="en", time_zone="America/New_York")
    assert "5:30 AM (EDT) 2026-03-17 09:30:00 UTC" in said


@pytest.mark.parametrize(
    "asked", [{"language": "xx", "time_zone": "../etc"}, {"language": "de", "time_zone": "No/Where"}, {}]
)
def test_a_language_or_zone_that_is_none_is_as_if_nobody_had_asked(
    account: Account, lead: User, asked: dict[str, str]
) -> None:
    erase_all(account)
    assert "Certificate of erasure no. 1" in read(account, **asked)


def test_words_of_today_never_stand_for_what_was_certified_otherwise() -> None:
    page = CertificatePage(Certificate(number=1, body=OLD_BODY, previous=hash_chain.NOTHING, hash="0" * 64))
    with translation.override("fr"):
        (ground,) = page.kept
        (kept,) = ground.lines
        assert (ground.title, ground.has_no_end) == ("A ground.", True)
        assert (kept.words, kept.reason, kept.until) == ("L’historique du compte", "A reason of those days", None)


def test_a_certificate_of_before_still_has_its_page_and_verifies_as_it_did(lead: User) -> None:
    purge = Purge.objects.create(
        account_id=OLD_BODY["account"],
        cause="customer_request",
        received_at=NOW - 40 * DAY,
        due_at=NOW - 10 * DAY,
        deadline_at=NOW - 9 * DAY,
        started_at=NOW - 8 * DAY,
        finished_at=NOW - 8 * DAY,
        verified_at="2026-03-16T00:00:00Z",
        next_attempt_at=NOW,
    )
    Certificate.objects.create(
        number=1,
        purge=purge,
        account_id=OLD_BODY["account"],
        issued_at=OLD_BODY["verified_at"],
        body=OLD_BODY,
        previous=hash_chain.NOTHING,
        hash=hash_chain.seal(OLD_BODY, hash_chain.NOTHING),
    )
    certificate = Certificate.objects.get()
    assert certificate.link.is_sound()
    assert certificate.hash == "25b57435466fddef6cab8e9f4b909ee400a53e71e71b337dab2db34e1ded193c"
    said = read(Account(pk=certificate.account_id))
    assert "missed" in said
    assert "Blueprint 3" in said
    assert "Search index 12" in said
    assert "Stripe : invoices. tax law; until January 26, 2036" in said


def test_money_that_went_back_meanwhile_stands_on_it(account: Account, lead: User) -> None:
    """Who puts it on the record: tests/subscriptions/refunds/test_refunds.py."""
    erase_all(account)
    certificate = Certificate.objects.get()
    certificate.body["paid_back"] = [{"at": NOW.isoformat(), "cents": 4900, "currency": "USD"}]
    (line,) = CertificatePage(certificate).paid_back
    assert (line.at, line.cents, line.currency) == (NOW, 4900, "USD")


def test_billing_records_say_until_when(account: Account, lead: User) -> None:
    subscribe(account, at=NOW - DAY, ends_at=NOW)
    erase_all(account)
    body = json.loads(Certificate.objects.get().as_json())["body"]
    (entry,) = [kept for kept in body["kept"] if kept["what"] == "subscriptions.BillingRecord"]
    assert (entry["records"], entry["until"][:10]) == (1, "2036-03-17")
    assert "Until March 17, 2036 at the latest." in read(account)


def test_whoever_is_not_staff_reads_it_by_the_link_alone(account: Account, sign_in: Any) -> None:
    erase_all(account)
    for who in (None, UserFactory()):
        assert sign_in(who).get("/admin/accounts/certificate/1/print/").status_code in (302, 403)
        assert sign_in(who).get("/certificates/1/").status_code == 404


def test_what_stores_elsewhere_did_stands_on_it_and_by_hand_is_told_apart(account: Account, lead: User) -> None:
    erase_all(account)
    certificate = Certificate.objects.get()
    answered: dict[str, Any] = {
        "store": "crm",
        "version": "4.2",
        "how": "answered",
        "asked_at": NOW.isoformat(),
        "done_at": (NOW + DAY).isoformat(),
        "promised_by": None,
        "deadline_met": True,
        "erased": {"contacts": 2, "notes": 0},
        "left": 0,
        "kept": [{"what": "invoices", "reason": "tax", "ground": "AO § 147", "until": "2036-12-31"}],
        "proof": "<b>bold</b>",
    }
    by_hand = {**answered, "store": "paper", "how": "by_hand", "deadline_met": False}
    by_hand |= {"stated_by_staff": {"case_number": "C-7", "stated_by": 1, "approved_by": 2}}
    by_hand |= {"proof": "", "kept": []}
    del by_hand["erased"]
    certificate.body |= {"elsewhere": [answered, by_hand], "deadline_met_here": True, "deadline_met": False}
    page = CertificatePage(certificate)
    crm, paper = page.stores
    assert page.is_in_time
    assert (crm.counts, crm.kept[0]["day"], crm.by_hand, crm.is_in_time) == (
        [("contacts", 2)],
        date(2036, 12, 31),
        False,
        True,
    )
    assert (paper.counts, paper.by_hand, paper.case_number, paper.is_in_time) == (None, True, "C-7", False)
    text = render_to_string("accounts/certificate.html", {"page": page, "certificate": certificate})
    assert "&lt;b&gt;bold&lt;/b&gt;" in text
    assert "No machine has counted it. Case number: C-7." in text
    assert "until December 31, 2036" in text
