"""Where the files of customers are kept: in a folder of this machine, or in a bucket (`config.s3`)."""

from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from accounts.core.private_files import FILE_MODE, FOLDER_MODE
from config.environment import Environment


def storage(env: Environment) -> dict[str, Any]:
    """The default storage by `MEDIA_STORAGE`. What is wrong with it is noted, and stops the start."""
    address = env.str("MEDIA_STORAGE", default="")
    options = {
        # Of their own: who sells at AWS Marketplace does so with another identity, as a rule.
        "access_key": env.str("MEDIA_S3_ACCESS_KEY_ID", default="") or None,
        "secret_key": env.str("MEDIA_S3_SECRET_ACCESS_KEY", default="") or None,
        "region_name": env.str("MEDIA_S3_REGION", default="") or None,
        #: For services that speak S3 and are not AWS.
        "endpoint_url": env.web_address("MEDIA_S3_ENDPOINT_URL") or None,
    }
    if not address:
        # What customers own: for the user that runs the product, and for no other one of the machine.
        modes = {"file_permissions_mode": FILE_MODE, "directory_permissions_mode": FOLDER_MODE}
        return {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": modes}
    parts = urlsplit(address)
    env.check(
        parts.scheme == "s3" and parts.netloc and "@" not in parts.netloc,
        "MEDIA_STORAGE must be s3://bucket or s3://bucket/prefix.",
    )
    env.check(
        find_spec("storages"),
        "MEDIA_STORAGE is a bucket and django-storages is not installed: uv sync --no-default-groups --extra s3",
    )
    env.check(
        bool(options["access_key"]) == bool(options["secret_key"]),
        "MEDIA_S3_ACCESS_KEY_ID and MEDIA_S3_SECRET_ACCESS_KEY go together; with neither the machine's role counts.",
    )
    return {
        "BACKEND": "config.s3.MediaStorage",
        "OPTIONS": {"bucket_name": parts.netloc, "location": parts.path.strip("/"), **options},
    }
