"""Errors in words that a row can hold and staff may read."""

from django.db import Error

#: Of an error's text so much is kept: enough to know what it was.
MAX_ERROR = 2000


def describe(error: BaseException) -> str:
    """An error in words that can be stored and shown: without the values of rows that databases like to quote."""
    cause = error.__cause__
    if isinstance(error, Error) and cause is not None:
        # What the server says comes in parts, and the first quotes nothing; what our own side says has no parts.
        said = getattr(getattr(cause, "diag", None), "message_primary", None)
        return storable(f"{type(cause).__name__}: {said or ('' if getattr(cause, 'sqlstate', None) else cause)}")
    try:
        return storable(f"{type(error).__name__}: {error}")
    except Exception:
        # An error that can't even say what it is.
        return type(error).__name__


def storable(text: str) -> str:
    """The text as the database takes it: no NUL, nothing that UTF-8 can't write, no longer than is of use."""
    return text.replace("\x00", "").encode(errors="replace").decode()[:MAX_ERROR]
