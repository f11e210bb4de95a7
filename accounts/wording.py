"""Texts that people type, as they are kept: never empty, never endless."""

from django.utils.translation import gettext_lazy as _

from accounts.refusal import Refused


class NoText(Refused):
    text = _("Please write something.")


class TextTooLong(Refused):
    text = _("This text is too long: %(length)d characters, and there is room for %(limit)d.")


def wording(text: str, *, limit: int) -> str:
    """A text as it is kept: without blanks around it. Raises `NoText` and `TextTooLong`."""
    text = text.strip()
    if not text:
        raise NoText
    if len(text) > limit:
        raise TextTooLong(length=len(text), limit=limit)
    return text
