"""What the log says: neither addresses of people, nor links that open something.

Messages of ours name rows by their ids. But the log also holds what libraries say: the path of a request that failed,
which may be a link with a key in it, or an error that quotes the row that the database refused.
"""

import logging
import re

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


class Line(logging.Formatter):
    """A line of the log, scrubbed as a whole: message, arguments and traceback alike."""

    def __init__(self) -> None:
        super().__init__("%(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        return scrub(super().format(record))


class Scrubbed(logging.Formatter):
    """As another formatter writes it, but scrubbed: for libraries that bring a formatter of their own."""

    def __init__(self, inner: logging.Formatter) -> None:
        super().__init__()
        self.inner = inner

    def format(self, record: logging.LogRecord) -> str:
        return scrub(self.inner.format(record))
