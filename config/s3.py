"""Files of customers in a bucket (`MEDIA_STORAGE=s3://bucket/prefix`), deleted for good: an erasing has to be true.

A bucket that keeps versions keeps what was deleted, and one where an upload was cut off keeps its parts. Here a file is
there as long as any of that is: listed, so that it is counted, and deleted with all of it.
"""

import posixpath
from collections.abc import Iterator
from io import BufferedReader, RawIOBase
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.core.files.base import File
from storages.backends.s3 import S3Storage

#: What a bucket says that has no such rule.
NO_LOCK = "ObjectLockConfigurationNotFoundError"
#: Seconds. A bucket that does not answer is tried again by whoever waits for it.
TIMEOUT = 10


class MediaStorage(S3Storage):  # type: ignore[misc]  # django-storages has no types
    """The bucket. Files have the names that they are saved under, and are read as they come."""

    def __init__(self, **settings: Any) -> None:
        config = Config(connect_timeout=TIMEOUT, read_timeout=TIMEOUT, retries={"max_attempts": 2})
        super().__init__(
            **{"default_acl": None, "file_overwrite": False, "client_config": config, "gzip": False, **settings}
        )

    def _open(self, name: str, mode: str = "rb") -> "File[bytes]":
        """The file, streamed: an archive may be larger than the memory of whoever passes it on."""
        if mode != "rb":
            raise ValueError("files are read and saved, not changed")
        try:
            answer = self._client.get_object(Bucket=self.bucket_name, Key=self._key(name))
        except ClientError as error:
            if _code(error) in ("NoSuchKey", "404"):
                raise FileNotFoundError(name) from None
            raise
        return File(BufferedReader(_Streamed(answer["Body"])), name=name)

    def delete(self, name: str) -> None:
        """Delete the file: every version, the marks of earlier deletions, parts of uploads. Missing is fine."""
        key = self._key(name)
        for found, version in list(self._versions(key)):
            if found == key:
                self._client.delete_object(Bucket=self.bucket_name, Key=key, VersionId=version)
        for found, upload in list(self._uploads(key)):
            if found == key:
                self._client.abort_multipart_upload(Bucket=self.bucket_name, Key=key, UploadId=upload)

    def listdir(self, path: str) -> tuple[list[str], list[str]]:
        """Folders and files of which anything is left: also what is only an old version, or half an upload."""
        folder = f"{self._key(path)}/".lstrip("/") if path else (f"{self.location}/" if self.location else "")
        keys = {key for key, _version in self._versions(folder)} | {key for key, _upload in self._uploads(folder)}
        below = sorted(posixpath.relpath(key, folder or ".") for key in keys if key != folder)
        folders = dict.fromkeys(name.partition("/")[0] for name in below if "/" in name)
        return list(folders), [name for name in below if "/" not in name]

    def fault(self) -> str:
        """Why files can't be kept or erased there; empty if they can."""
        try:
            self._client.list_object_versions(Bucket=self.bucket_name, MaxKeys=1)
            self._client.list_multipart_uploads(Bucket=self.bucket_name, MaxUploads=1)
            lock = self._client.get_object_lock_configuration(Bucket=self.bucket_name)
        except ClientError as error:
            return "" if _code(error) == NO_LOCK else _code(error)
        except BotoCoreError as error:
            return type(error).__name__
        return "ObjectLock" if lock.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") == "Enabled" else ""

    @property
    def _client(self) -> Any:
        return self.connection.meta.client

    def _key(self, name: str) -> str:
        return str(self._normalize_name(posixpath.normpath(name).removeprefix("./")))

    def _versions(self, prefix: str) -> Iterator[tuple[str, str]]:
        """Key and version of all that is kept under keys that begin so; a bucket without versions has one of each."""
        pages = self._client.get_paginator("list_object_versions").paginate(Bucket=self.bucket_name, Prefix=prefix)
        for page in pages:
            for version in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
                yield version["Key"], version["VersionId"]

    def _uploads(self, prefix: str) -> Iterator[tuple[str, str]]:
        """Key and id of the uploads that were begun under keys that begin so, and not completed."""
        pages = self._client.get_paginator("list_multipart_uploads").paginate(Bucket=self.bucket_name, Prefix=prefix)
        for page in pages:
            for upload in page.get("Uploads", ()):
                yield upload["Key"], upload["UploadId"]


class _Streamed(RawIOBase):
    """What a bucket sends, as a file that is read once from its beginning to its end."""

    def __init__(self, body: Any) -> None:
        self._body = body

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        content: bytes = self._body.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def close(self) -> None:
        self._body.close()
        super().close()


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", "unknown"))
