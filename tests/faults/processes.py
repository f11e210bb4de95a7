"""Processes of their own that work in a test's database, to be killed."""

import os
import subprocess
import sys
from datetime import datetime
from urllib.parse import quote

from django.conf import settings
from django.db import connection


def sweep(*names: str, at: datetime, **environment: str) -> "subprocess.Popen[bytes]":
    """`manage.py sweep NAME … --at …` in a process of its own, on this test's database."""
    database = connection.settings_dict
    host = quote(str(database["OPTIONS"].get("host") or database["HOST"]), safe="")
    url = f"postgresql://{database['USER']}:{database['PASSWORD']}@/{database['NAME']}?host={host}"
    return subprocess.Popen(
        [sys.executable, str(settings.BASE_DIR / "manage.py"), "sweep", *names, "--at", at.isoformat()],
        env={**os.environ, "DATABASE_URL": url, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
