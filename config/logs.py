"""What the log says: neither addresses of people, nor links that open something.

Messages of ours name rows by their ids. But the log also holds what libraries say: the path of a request that failed,
which may be a link with a key in it, or an error that quotes the row that the database refused.
"""

import logging
import re
import time
from typing import Any

from pythonjsonlogger.json import JsonFormatter

#: After these the path of a page goes on with a key that opens it.
_KEYS = re.compile(
    r"(/user/export/|/auth/password/reset/key/|/auth/confirm-email/|/marketplace/aws/register/(?!(?:link|join)/))"
    r"[^/\s?#\"']+"
)
_ADDRESSES = re.compile(r"""[^\s<>()"'=,;:/\[\]{}]+@[^\s<>()"'=,;:/\[\]{}]+\.[^\s<>()"'=,;:/\[\]{}]+""")
#: PostgreSQL quotes the values of a row that it refuses.
_QUOTED_ROWS = re.compile(r"^(DETAIL: ).*$", re.MULTILINE)


def scrub(text: str) -> str:
    """A text for the log without addresses, keys in paths, and values of rows."""
    return _QUOTED_ROWS.sub(r"\1…", _ADDRESSES.sub("<address>", _KEYS.sub(r"\1…", text)))


class LogLine(logging.Formatter):
    """A line of the log for people: time in UTC, what it is about, scrubbed as a whole, traceback included."""

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # the name that logging calls
        about = " ".join(f"{name}={value}" for name, value in getattr(record, "about", {}).items())
        return f"{super().formatMessage(record)} [{about}]" if about else super().formatMessage(record)

    def format(self, record: logging.LogRecord) -> str:
        return scrub(super().format(record))


#: What libraries add to a record besides (a request, a user, a statement) is not for the log.
_WRITTEN = ("time", "level", "logger", "message", "exc_info", "stack_info")


class JsonLine(JsonFormatter):
    """A line of the log for machines (`LOG_FORMAT=json`): one JSON object with `time`, `level`, `logger` and `message`,
    and what it is about in fields of their own. Scrubbed in the same way.
    """

    converter = staticmethod(time.gmtime)
    default_time_format = LogLine.default_time_format
    default_msec_format = LogLine.default_msec_format

    def __init__(self) -> None:
        super().__init__(
            "%(asctime)s %(levelname)s %(name)s %(message)s",
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
            json_ensure_ascii=False,
        )

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        """What is written, each text scrubbed: in JSON its lines are no lines any more."""
        written = {name: log_data[name] for name in _WRITTEN if log_data.get(name)} | log_data.get("about", {})
        return {name: scrub(value) if isinstance(value, str) else value for name, value in written.items()}
