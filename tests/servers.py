"""A pytest plugin (`-p tests.servers`): gives every run its own PostgreSQL and Redis-protocol server.

It works when it is imported, because pytest-django reads the settings soon after. With pytest-xdist the main
process starts the servers and the workers inherit its environment. DATABASE_URL and REDIS_URL, if set, are used
instead; everything else is set here, so that a test sees the same settings on every machine.
"""

import atexit
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from config.stack import servers


def start() -> None:
    """Starts the servers and sets the environment, both until this process ends, also by Ctrl-C."""
    running = ExitStack()
    atexit.register(running.close)
    folder = Path(tempfile.mkdtemp(prefix="offboard-tests-")).resolve()
    # Others may pass through: started by root, the servers run as a system user.
    folder.chmod(0o711)
    running.callback(shutil.rmtree, folder, ignore_errors=True)
    os.environ.update(settings(folder))
    try:
        if not os.environ.get("DATABASE_URL"):
            os.environ["DATABASE_URL"] = running.enter_context(servers.postgres(folder, durable=False)).url
        else:
            running.callback(_drop_originals)
        if not os.environ.get("REDIS_URL"):
            os.environ["REDIS_URL"] = running.enter_context(servers.valkey(folder, durable=False)).url
    except servers.ServerStartError as failure:
        raise pytest.UsageError(str(failure)) from None
    # The database of which every worker's is a copy, while pytest collects.
    migrating = subprocess.Popen([sys.executable, "-m", "tests.databases"], start_new_session=True)
    running.callback(_end, migrating)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """With its children, if it is still at work."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _drop_originals() -> None:
    from tests import databases

    databases.drop_originals()


def settings(folder: Path) -> dict[str, str]:
    """The environment of every test, but for the servers."""
    return {
        "ALLOWED_HOSTS": "*",
        "API_TOKENS": "test-api-token",
        "AWS_EVENTS_TOKEN": "test-aws-events-token",
        "DATA_DIR": str(folder),
        "DEBUG": "0",
        "EMAIL_URL": f"filemail://{folder}/mail",
        # A Fernet key: 32 zero bytes in base64.
        "FIELD_ENCRYPTION_KEYS": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "GITHUB_WEBHOOK_SECRETS": "test-webhook-secret",
        "SECRET_KEY": "test-secret-key",
        "SITE_URL": "http://testserver",
        # A test does in a second what a person does in an hour. Tests of this limit set it.
        "POSTS_A_MINUTE": "1000000",
        # Tests of the second factor switch it on.
        "STAFF_SECOND_FACTOR": "0",
    }


def redis_database(url: str, number: int) -> str:
    """The address of another database of the same server."""
    if url.startswith("unix:"):
        return f"{url.partition('?')[0]}?db={number}"
    return urlsplit(url)._replace(path=f"/{number}").geturl()


if worker := os.environ.get("PYTEST_XDIST_WORKER"):
    # What one worker's tests count, and forget, is not another's: as each has a PostgreSQL database of its own.
    os.environ["REDIS_URL"] = redis_database(os.environ["REDIS_URL"], 1 + int(worker.removeprefix("gw")))
else:
    start()
