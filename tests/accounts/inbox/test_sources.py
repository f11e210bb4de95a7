"""Sources are declared by apps; the inbox knows none of them, and does for each what it does for all."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from importlib import import_module

import pytest
from django.apps import apps
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from django.urls import reverse

from accounts.core.registry import AlreadyRegistered
from accounts.inbox import inbox, refused_messages
from accounts.inbox.middleware import DoorsMiddleware
from accounts.inbox.sources import SOURCES, InboxSource, refusal_choices
from accounts.models import Account, Delivery, StaffAction, User
from tests.accounts.inbox.senders import PIGEON, PigeonMode, PigeonRefusal, hear, read
from tests.factories import NOW

pytestmark = pytest.mark.django_db


@pytest.fixture
def pigeons() -> Iterator[None]:
    with SOURCES.replaced(PIGEON):
        yield


def test_a_message_is_stored_once_and_processed_by_its_sources_own_function(pigeons: None) -> None:
    assert hear(PIGEON, "d-1", at=NOW)
    assert not hear(PIGEON, "d-1", at=NOW + timedelta(hours=1), body=b"another")
    assert inbox.process_due(NOW) == 1
    assert inbox.process_due(NOW + timedelta(hours=1)) == 0
    stored = Delivery.objects.get()
    assert (stored.source, stored.outcome, stored.external_account) == ("pigeon", "applied", "loft-7")
    assert (stored.received_at, stored.processed_at, bytes(stored.body or b"")) == (NOW, NOW, b"{}")
    assert stored.get_source_display() == "Pigeons"


def test_what_was_signed_for_an_exercise_says_so(pigeons: None) -> None:
    hear(PIGEON, "d-1", at=NOW, mode=PigeonMode.EXERCISE)
    assert inbox.process_due(NOW) == 1
    stored = Delivery.objects.get()
    assert (stored.outcome, stored.get_mode_display()) == ("test", "an exercise")


def test_two_sources_may_give_one_id_to_two_messages(pigeons: None) -> None:
    assert hear(PIGEON, "d-1", at=NOW)
    assert hear(SOURCES.named("github"), "d-1", at=NOW)


def test_one_that_cannot_be_processed_is_parked_and_holds_up_no_other(pigeons: None) -> None:
    hear(PIGEON, "d-1", at=NOW, body=b"wet")
    hear(PIGEON, "d-2", at=NOW)
    assert inbox.process_due(NOW) == 1
    parked = Delivery.objects.parked().get()
    assert (parked.delivery_id, parked.last_error, parked.next_attempt_at) == ("d-1", "The ink has run.", None)


def test_a_message_whose_source_nobody_declares_any_more_waits_for_staff(pigeons: None) -> None:
    hear(PIGEON, "d-1", at=NOW)
    with SOURCES.without("pigeon"):
        assert inbox.process_due(NOW) == 0
    parked = Delivery.objects.parked().get()
    assert parked.last_error == "No app declares the source pigeon any more."
    # Its app is back: staff have it processed again.
    assert inbox.process_again(parked, at=NOW)
    assert inbox.process_due(NOW) == 1


def test_two_apps_cannot_declare_one_source() -> None:
    with SOURCES.replaced(PIGEON), pytest.raises(AlreadyRegistered):
        SOURCES.add(InboxSource("pigeon", "Other pigeons", read))


def test_a_door_passes_by_the_middleware_of_pages_once_its_source_is_declared() -> None:
    def page(request: HttpRequest) -> HttpResponse:
        return HttpResponse("a page")

    door = reverse("support")
    assert DoorsMiddleware(page)(RequestFactory().get(door)).content == b"a page"
    with SOURCES.replaced(InboxSource("pigeon", "Pigeons", read, door="support")):
        assert door in DoorsMiddleware(page).doors


def test_staff_see_a_declared_source_in_lists_and_words(
    pigeons: None, staff: User, sign_in: Callable[[User | None], Client]
) -> None:
    hear(PIGEON, "d-1", at=NOW)
    refused_messages.note(PIGEON, PigeonRefusal.RING, claimed="another loft", at=NOW)
    assert ("ring", "the ring of another loft") in refusal_choices()
    browser = sign_in(staff)
    page = browser.get(reverse("admin:accounts_delivery_changelist"), {"source__exact": "pigeon"})
    assert "Pigeons" in page.content.decode()
    refused = browser.get(reverse("admin:accounts_refusedmessage_changelist")).content.decode()
    assert "the ring of another loft" in refused


def test_what_was_known_of_deliveries_by_name_moved_with_them(staff: User, account: Account) -> None:
    """Content types, with the permissions and the log that hang on them, and what staff did."""
    migration = import_module("accounts.migrations.0022_inbox")
    here = ContentType.objects.get(app_label="accounts", model="delivery")
    permission = Permission.objects.get(content_type=here, codename="view_delivery")
    LogEntry.objects.create(user=staff, content_type=here, object_id="7", object_repr="d-7", action_flag=CHANGE)
    StaffAction.objects.create(
        account_id=account.pk, act="process_again", target="accounts.delivery:7", reason="asked", by=staff, at=NOW
    )
    with connection.schema_editor() as editor:
        migration.move("accounts", "marketplace")(apps, editor)
        assert StaffAction.objects.get().target == "marketplace.delivery:7"
        assert ContentType.objects.get(pk=here.pk).app_label == "marketplace"
        for _time in range(2):
            migration.move("marketplace", "accounts")(apps, editor)
    assert StaffAction.objects.get().target == "accounts.delivery:7"
    assert ContentType.objects.get(app_label="accounts", model="delivery").pk == here.pk
    assert LogEntry.objects.get().content_type_id == here.pk
    assert Permission.objects.get(pk=permission.pk).content_type_id == here.pk
