"""What customers own lies in files that no other user of the machine can read; pages are kept nowhere."""

import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.mail import EmailMessage
from django.test import Client
from pytest_django import Settings

from accounts.core import clock
from accounts.core.private_files import close_to_others, private_folder, write_private
from accounts.customers.history import Actor
from accounts.exports.builder import export_due
from accounts.exports.export import ask
from accounts.models import Account, User
from config.mail import FolderBackend

SignIn = Callable[[User | None], Client]


@pytest.fixture(autouse=True)
def folders(settings: Settings, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path / "data" / "media"
    settings.EMAIL_FILE_PATH = str(tmp_path / "data" / "mail")


def modes(folder: Path) -> set[tuple[bool, str]]:
    """Of all folders and files below: whether it is a folder, and its mode."""
    return {(path.is_dir(), oct(stat.S_IMODE(path.stat().st_mode))) for path in [folder, *folder.rglob("*")]}


PRIVATE = {(True, "0o700"), (False, "0o600")}


@pytest.mark.django_db
def test_what_is_stored_and_exported_is_private(account: Account, owner: User, settings: Settings) -> None:
    default_storage.save(f"thumbnails/{account.pk}/one.svg", ContentFile(b"<svg/>"))
    export, _new = ask(account, by=Actor.owner(owner), at=clock.now())
    export_due(export.asked_at)
    assert len([path for path in settings.MEDIA_ROOT.rglob("*") if path.is_file()]) == 2
    assert modes(settings.MEDIA_ROOT) == PRIVATE


def test_mails_in_a_folder_are_private(settings: Settings) -> None:
    FolderBackend().send_messages([EmailMessage("Subject", "Text", to=["jane@example.org"])])
    assert modes(Path(settings.EMAIL_FILE_PATH)) == PRIVATE


def test_a_folder_that_was_open_is_closed(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    assert private_folder(folder) == folder
    assert modes(folder) == {(True, "0o700")}
    old = folder / "old"
    old.write_text("old")
    old.chmod(0o644)
    write_private(old, b"new")
    assert modes(folder) == PRIVATE
    assert old.read_bytes() == b"new"
    close_to_others(tmp_path / "missing")


@pytest.mark.django_db
def test_pages_are_kept_nowhere(account: Account, owner: User, lead: User, sign_in: SignIn) -> None:
    for person, path in (
        (owner, "/"),
        (owner, "/user/subscription/"),
        (owner, "/user/support/"),
        (owner, "/user/export/"),
        (owner, "/user/preferences/"),
        (owner, "/no-such-page/"),
        (owner, "/auth/email/"),
        (lead, f"/admin/accounts/account/{account.pk}/change/"),
        (None, "/auth/login/"),
    ):
        assert "no-store" in sign_in(person).get(path)["Cache-Control"], path
