"""Mails handed over to a folder: which of them a purge deletes."""

from pathlib import Path

import pytest
from django.core.mail import EmailMessage, get_connection
from pytest_django import Settings

from accounts.erasure import mail_folder, people
from accounts.models import Account, Membership, Role, User
from tests.factories import NOW, AccountFactory, UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def folder(settings: Settings, tmp_path: Path) -> Path:
    settings.EMAIL_FILE_PATH = str(tmp_path)
    return tmp_path


def hand_over(to: str, name: str) -> None:
    mail = EmailMessage("Hello", "…", to=[to], headers={"Message-ID": f"<{name}@example.org>"})
    get_connection("config.mail.FolderBackend").send_messages([mail])


def names(folder: Path) -> set[str]:
    return {path.name.partition("-example")[0] for path in folder.iterdir()}


def begin(account: Account) -> None:
    Account.objects.filter(pk=account.pk).update(purging_at=NOW)
    people.see_out(account.pk)


def test_mail_to_people_who_go_is_deleted_and_mail_to_others_stays(
    account: Account, owner: User, member: User, staff: User, folder: Path
) -> None:
    Membership.objects.create(account=AccountFactory(), user=member, role=Role.USER)
    hand_over("Olga Owner <OWNER@example.org>", "goes")
    hand_over(f"{UserFactory().email}, {owner.email}", "goes-too")
    for number, person in enumerate((member.email, staff.email, "nobody@example.org")):
        hand_over(person, f"stays{number}")
    (folder / "broken.eml").write_bytes(b"\xff")
    begin(account)
    assert mail_folder.count(account.pk) == mail_folder.erase(account.pk) == 2
    assert names(folder) == {"stays0", "stays1", "stays2", "broken.eml"}
    assert mail_folder.count(account.pk) == mail_folder.erase(account.pk) == 0


def test_a_folder_that_no_mail_was_written_to_holds_nothing(account: Account, folder: Path) -> None:
    folder.rmdir()
    assert mail_folder.erase(account.pk) == mail_folder.count(account.pk) == 0
