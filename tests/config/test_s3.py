"""Files in a bucket: exports built here and fetched from there, thumbnails, and an erasing of which nothing is kept."""

import io
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
import time_machine
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import Client, override_settings
from moto.server import ThreadedMotoServer

from accounts.customers.history import Actor
from accounts.erasure import verification
from accounts.erasure.runner import purge_due
from accounts.exports import export as exports
from accounts.exports.builder import export_due
from accounts.exports.export import Export, link_token
from accounts.jobs import surroundings
from accounts.models import Account, Certificate, Purge, User
from config import media
from config.environment import Environment
from tests.accounts.erasure.purging import erase_all, oblige
from tests.config.test_sentry import run
from tests.factories import NOW, BlueprintFactory

pytestmark = pytest.mark.django_db
SignIn = Callable[[User | None], Client]
BUCKET = "files"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Moto's S3, over HTTP."""
    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def s3(server: str) -> Iterator[Any]:
    """A client of the server beside ours, on an empty bucket in which files are now kept."""
    client = boto3.client(
        "s3", endpoint_url=server, region_name="us-east-1", aws_access_key_id="key", aws_secret_access_key="secret"
    )
    client.create_bucket(Bucket=BUCKET)
    options = {"endpoint_url": server, "region_name": "us-east-1", "access_key": "key", "secret_key": "secret"}
    default = {"BACKEND": "config.s3.MediaStorage", "OPTIONS": {"bucket_name": BUCKET, "location": "a/b", **options}}
    with override_settings(STORAGES={**settings.STORAGES, "default": default}):
        yield client
        for version in everything(client, versions=True):
            client.delete_object(Bucket=BUCKET, Key=version["Key"], VersionId=version["VersionId"])
        for upload in uploads(client):
            client.abort_multipart_upload(Bucket=BUCKET, Key=upload["Key"], UploadId=upload["UploadId"])
        client.delete_bucket(Bucket=BUCKET)


def everything(client: Any, *, versions: bool = False) -> list[dict[str, Any]]:
    if not versions:
        return list(client.list_objects_v2(Bucket=BUCKET).get("Contents", []))
    found = client.list_object_versions(Bucket=BUCKET)
    return [*found.get("Versions", []), *found.get("DeleteMarkers", [])]


def uploads(client: Any) -> list[dict[str, Any]]:
    return list(client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", []))


def keep_versions(client: Any) -> None:
    client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})


def exported(account: Account, owner: User) -> Export:
    export, _new = exports.ask(account, by=Actor.owner(owner), at=NOW)
    assert export_due(NOW) == 1
    export.refresh_from_db()
    return export


def test_an_export_is_built_here_kept_there_and_streamed_to_its_owner(
    s3: Any, account: Account, owner: User, sign_in: SignIn, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    BlueprintFactory(account=account).redraw_thumbnail()
    export = exported(account, owner)
    assert export.last_error == ""
    assert list(tmp_path.iterdir()) == []
    assert f"a/b/exports/{account.pk}/{export.pk}.zip" in [found["Key"] for found in everything(s3)]
    with time_machine.travel(NOW, tick=False):
        answer = sign_in(owner).get(f"/user/export/{link_token(export, owner)}/")
    assert answer.status_code == 200
    content = b"".join(answer.streaming_content)  # type: ignore[attr-defined]
    assert len(content) == export.size
    archive = zipfile.ZipFile(io.BytesIO(content))
    assert archive.testzip() is None
    assert sum(name.endswith(".svg") for name in archive.namelist()) == 1


@pytest.mark.parametrize("versioned", [False, True])
def test_an_export_that_expires_is_gone_with_all_its_versions(
    s3: Any, account: Account, owner: User, versioned: bool
) -> None:
    if versioned:
        keep_versions(s3)
    export = exported(account, owner)
    assert export.expires_at is not None
    assert export_due(export.expires_at) == 1
    assert everything(s3, versions=True) == []
    export.refresh_from_db()
    assert not export.file


def test_a_thumbnail_drawn_again_leaves_no_older_one(s3: Any, account: Account) -> None:
    keep_versions(s3)
    blueprint = BlueprintFactory(account=account)
    blueprint.redraw_thumbnail()
    blueprint.redraw_thumbnail()
    assert len(everything(s3, versions=True)) == 1
    with default_storage.open(blueprint.thumbnail.name) as file:
        assert file.read().startswith(b"<svg")


@pytest.mark.parametrize("versioned", [False, True])
def test_an_erasing_leaves_nothing_of_the_account_in_the_bucket_and_all_of_the_others(
    s3: Any, account: Account, owner: User, stranger: User, versioned: bool
) -> None:
    if versioned:
        keep_versions(s3)
    other = stranger.accounts.get()
    BlueprintFactory(account=other).redraw_thumbnail()
    BlueprintFactory(account=account).redraw_thumbnail()
    exported(account, owner)
    default_storage.save(f"thumbnails/{account.pk}/forgotten/one.svg", ContentFile(b"<svg/>"))
    # Written, written over, and deleted behind our back: only older versions are left of them.
    for content in (b"one", b"two"):
        s3.put_object(Bucket=BUCKET, Key=f"a/b/thumbnails/{account.pk}/behind.svg", Body=content)
    s3.delete_object(Bucket=BUCKET, Key=f"a/b/thumbnails/{account.pk}/behind.svg")
    # An upload that was cut off.
    s3.create_multipart_upload(Bucket=BUCKET, Key=f"a/b/exports/{account.pk}/half.zip")
    purge = erase_all(account)
    assert purge.verified_at is not None
    assert Certificate.objects.filter(purge=purge).exists()
    left = [found["Key"] for found in everything(s3, versions=True)]
    assert [key for key in left if str(account.pk) in key] == []
    assert [key for key in left if str(other.pk) in key] != []
    assert uploads(s3) == []


@pytest.mark.parametrize("what", ["version", "mark", "upload"])
def test_whatever_is_left_in_the_bucket_is_counted_so_that_no_certificate_lies(
    s3: Any, account: Account, what: str
) -> None:
    key = f"a/b/exports/{account.pk}/left.zip"
    keep_versions(s3)
    if what == "upload":
        s3.create_multipart_upload(Bucket=BUCKET, Key=key)
    else:
        written = s3.put_object(Bucket=BUCKET, Key=key, Body=b"x")
        s3.delete_object(Bucket=BUCKET, Key=key)
        if what == "mark":
            s3.delete_object(Bucket=BUCKET, Key=key, VersionId=written["VersionId"])
    assert everything(s3) == []
    assert verification.left_outside(account.pk)["files"] == 1


def test_a_bucket_that_is_away_holds_up_the_erasing_and_not_the_others(s3: Any, account: Account) -> None:
    default_storage.save(f"exports/{account.pk}/x.zip", ContentFile(b"x"))
    purge = oblige(account)
    present = settings.STORAGES["default"]
    away = {**present, "OPTIONS": {**present["OPTIONS"], "endpoint_url": "http://127.0.0.1:9"}}
    with override_settings(STORAGES={**settings.STORAGES, "default": away}):
        assert surroundings.storage(NOW) is not None
        purge_due(NOW)
    purge.refresh_from_db()
    assert purge.verified_at is None
    assert purge.last_error != ""
    assert Purge.objects.get().attempts == 1


def test_the_doctor_says_when_the_bucket_is_missing_or_locks_what_is_erased(s3: Any) -> None:
    assert surroundings.storage(NOW) is None
    s3.delete_bucket(Bucket=BUCKET)
    fault = surroundings.storage(NOW)
    assert fault is not None
    assert fault.examples == ["NoSuchBucket"]
    s3.create_bucket(Bucket=BUCKET, ObjectLockEnabledForBucket=True)
    fault = surroundings.storage(NOW)
    assert fault is not None
    assert fault.examples == ["ObjectLock"]


def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Any, **values: str) -> Environment:
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return Environment(tmp_path / "none.env")


def test_without_a_setting_files_stay_in_a_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    env = environment(monkeypatch, tmp_path)
    assert media.storage(env)["BACKEND"] == "django.core.files.storage.FileSystemStorage"
    env.stop_if_wrong()


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"MEDIA_STORAGE": "bucket"}, "must be s3://bucket"),
        ({"MEDIA_STORAGE": "https://bucket.example"}, "must be s3://bucket"),
        ({"MEDIA_STORAGE": "s3://"}, "must be s3://bucket"),
        ({"MEDIA_STORAGE": "s3://files", "MEDIA_S3_ACCESS_KEY_ID": "key"}, "go together"),
        ({"MEDIA_STORAGE": "s3://files", "MEDIA_S3_ENDPOINT_URL": "minio"}, "MEDIA_S3_ENDPOINT_URL must be"),
    ],
)
def test_a_wrong_setting_stops_the_start(
    values: dict[str, str], told: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    env = environment(monkeypatch, tmp_path, **values)
    media.storage(env)
    with pytest.raises(ImproperlyConfigured, match=told):
        env.stop_if_wrong()


def test_without_the_extra_the_start_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    done = run("import sys; sys.modules['storages'] = None; import django; django.setup()", MEDIA_STORAGE="s3://files")
    assert done.returncode == 1
    assert "uv sync --no-default-groups --extra s3" in done.stderr
