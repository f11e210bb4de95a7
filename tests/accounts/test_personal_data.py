"""What a purge does in a table of a library: what the admin noted."""

from typing import Any

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType

from accounts.models import Account, User
from tests.accounts.erasure.purging import erase_all
from tests.factories import BlueprintFactory

pytestmark = pytest.mark.django_db


def note(row: Any, by: User) -> LogEntry:
    return LogEntry.objects.create(
        user=by,
        content_type=ContentType.objects.get_for_model(type(row)),
        object_id=str(row.pk),
        object_repr=f"about {row}",
        action_flag=CHANGE,
        change_message="changed the name",
    )


def test_what_staff_noted_stays_without_names_and_texts(
    account: Account, owner: User, stranger: User, staff: User
) -> None:
    mine = [note(row, staff) for row in (account, owner, BlueprintFactory(account=account))]
    others = [note(row, staff) for row in (stranger.accounts.get(), stranger, BlueprintFactory(), staff)]
    # The same number in another table is another row.
    others.append(note(ContentType(pk=owner.pk, app_label="other", model="other"), staff))
    row = erase_all(account)
    for entry in [*mine, *others]:
        entry.refresh_from_db()
    assert [(entry.object_repr, entry.change_message) for entry in mine] == [("", "")] * 3
    assert all(entry.object_repr.startswith("about") and entry.change_message for entry in others)
    assert row.erased()["admin.LogEntry (texts about what the account owns)"] == 2
    assert row.erased()["admin.LogEntry (texts about people)"] == 1


def test_what_former_staff_did_goes_with_them(account: Account, owner: User) -> None:
    note(account, owner)
    erase_all(account)
    assert not LogEntry.objects.exists()
