"""Refusals: what a transition raises when the state of things does not allow it, in words for the person who asked."""

from django.utils.functional import Promise


class Refused(Exception):
    """Nothing was changed. `str()` says why, and what to do next, in the reader's language."""

    text: "str | Promise" = ""

    def __init__(self, text: "str | Promise | None" = None, **values: object) -> None:
        if text is not None:
            self.text = text
        self.values = values
        super().__init__(self.text)

    def __str__(self) -> str:
        return str(self.text) % self.values if self.values else str(self.text)
