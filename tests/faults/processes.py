"""Processes of their own that work in a test's database, to be killed."""

import os
import subprocess
import sys
from datetime import datetime

from django.conf import settings

from tests.accounts.erasure.dumping import database_url


def sweep(*names: str, at: datetime, **environment: str) -> "subprocess.Popen[bytes]":
    """`manage.py sweep NAME … --at …` in a process of its own, on this test's database."""
    return command("sweep", *names, "--at", at.isoformat(), **environment)


def command(*arguments: str, **environment: str) -> "subprocess.Popen[bytes]":
    """`manage.py …` in a process of its own, on this test's database."""
    return subprocess.Popen(
        [sys.executable, str(settings.BASE_DIR / "manage.py"), *arguments],
        env={**os.environ, "DATABASE_URL": database_url(), **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
