"""Texts that people type, as they are kept: never empty, never endless."""

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from accounts.core import foreign_input
from accounts.core.refusal import Refused


class NoText(Refused):
    text = _("Please write something.")


class Unwritable(Refused):
    text = _("There is a character in it that can't be written down.")


class TextTooLong(Refused):
    text = _("This text is too long: %(length)d characters, and there is room for %(limit)d.")


def wording(text: str, *, limit: int) -> str:
    """A text as it is kept (`foreign_input.text`). Raises `NoText`, `TextTooLong` and `Unwritable`."""
    try:
        kept = foreign_input.text(text, limit=limit)
    except ValidationError as error:
        raise (TextTooLong(**error.params) if error.params else Unwritable) from error
    if not kept:
        raise NoText
    return kept
