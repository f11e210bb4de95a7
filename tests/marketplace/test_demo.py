"""The demo: one person with two accounts, and its first state again, however it was played with."""

from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command
from pytest_django import Settings

from accounts.core import clock
from accounts.customers.history import Actor
from accounts.models import Account, Certificate, Event, Membership, Notice, Purge, SweepRun, User
from subscriptions.billing.wish import Wish
from subscriptions.ending.cancellation import cancel
from subscriptions.models import Cancellation, Plan, Subscription

pytestmark = pytest.mark.django_db


@pytest.fixture
def folders(settings: Settings, tmp_path: Path) -> tuple[Path, Path]:
    """Mails and files of this test alone."""
    mails, media = tmp_path / "mail", tmp_path / "media"
    mails.mkdir()
    media.mkdir()
    settings.EMAIL_FILE_PATH, settings.MEDIA_ROOT = str(mails), str(media)
    return mails, media


def state() -> dict[str, object]:
    """What the demo is, as far as it does not depend on the hour at which it was made."""
    places = Membership.objects.order_by("user__email", "account__name")
    return {
        "people": sorted(User.objects.values_list("email", flat=True)),
        "places": list(places.values_list("user__email", "account__name", "role")),
        "subscriptions": sorted(Subscription.objects.values_list("account__name", "plan_id", "channel", "seats")),
        "cancellations": sorted(Cancellation.objects.values_list("subscription__account__name", "reason")),
        "events": Event.objects.count(),
        "mails": Notice.objects.count(),
        "plans": sorted((plan.code, plan.name, tuple(plan.features)) for plan in Plan.objects.all()),
    }


def test_reset_makes_the_first_state_again_mails_and_files_included(folders: tuple[Path, Path]) -> None:
    mails, media = folders
    call_command("demo", verbosity=0)
    first = state()
    pictures = len(list(media.rglob("*.svg")))
    subscription = Subscription.objects.get(account__name="Harbour Diagrams")
    owner = subscription.account.owner()
    assert owner is not None
    cancel(subscription, by=Actor.owner(owner), at=clock.now())
    Plan.objects.filter(code="pro").update(name="Pro, played with", features=[])
    User.objects.create_user("somebody@else.example", "demo")
    (mails / "played.eml").write_text("Subject: played")
    default_storage.save("exports/played.zip", ContentFile(b"played"))
    SweepRun.objects.create(name="hygiene", started_at=clock.now(), finished_at=clock.now())
    assert state() != first

    call_command("demo", reset=True, verbosity=0)

    assert state() == first
    assert list(mails.iterdir()) == []
    assert len(list(media.rglob("*.svg"))) == pictures
    assert not default_storage.exists("exports/played.zip")
    assert User.objects.get(email="lead@support.example").has_perm("accounts.refund")
    # Else `doctor` would miss the daily sweeps until tomorrow.
    assert SweepRun.objects.filter(name="hygiene").exists()


@pytest.mark.parametrize("reset", [False, True])
def test_nothing_is_late_on_the_first_day_of_a_demo(reset: bool, folders: tuple[Path, Path]) -> None:
    call_command("demo", reset=reset, verbosity=0)
    assert Notice.objects.filter(kind="subscriptions/ending_soon").exists()
    assert not Subscription.objects.reminder_due(clock.now()).exists()


def test_reset_is_refused_where_the_site_is_served_by_https(settings: Settings, folders: tuple[Path, Path]) -> None:
    call_command("demo", verbosity=0)
    first = state()
    settings.SITE_URL = "https://blueprints.example"
    with pytest.raises(CommandError, match="served by https"):
        call_command("demo", reset=True)
    assert state() == first


def test_one_owner_of_the_demo_has_two_accounts(folders: tuple[Path, Path]) -> None:
    call_command("demo", verbosity=0)
    accounts = Account.objects.filter(memberships__user__email="owner@two.example", memberships__role="owner")
    assert sorted(accounts.values_list("name", flat=True)) == ["Twin Docks East", "Twin Docks West"]
    at = clock.now()
    assert [Subscription.objects.of(account).live(at).count() for account in accounts] == [1, 1]


def test_staff_have_stopped_the_renewal_of_the_account_that_the_demo_erases(folders: tuple[Path, Path]) -> None:
    call_command("demo", verbosity=0)

    certificate = Certificate.objects.get()
    assert Purge.objects.get(pk=certificate.purge_id).verified_at
    assert not Wish.objects.open().filter(subscription__account_id=certificate.account_id).exists()
    # Nor is one open of what has ended: nothing is red on the first day.
    assert not Wish.objects.open().filter(deadline_at__lte=clock.now()).exists()
