"""`python -m config.probe`: whether the process of this container is well, for `HEALTHCHECK`. Exit code 0 or 1.

`web` (the default) asks `/healthz/`, which asks nothing of database or broker: what is away is not mended by starting
this container again. `beat` looks whether the schedule has been written lately. Workers are asked by
`celery inspect ping`. Of no use to Django, so it starts in a tenth of a second.
"""

import http.client
import os
import sys
import time
from pathlib import Path

SECONDS = 2
#: Celery's beat writes its schedule every three minutes.
BEAT_SECONDS = 600


def web() -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", int(os.environ.get("PORT") or 8000), timeout=SECONDS)
    try:
        connection.request("GET", "/healthz/")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def beat(schedule: Path) -> bool:
    try:
        return time.time() - schedule.stat().st_mtime < BEAT_SECONDS
    except OSError:
        return False


if __name__ == "__main__":
    what, *where = sys.argv[1:] or ["web"]
    sys.exit(0 if (beat(Path(where[0])) if what == "beat" else web()) else 1)
