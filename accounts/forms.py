"""The forms of this app's pages."""

import zoneinfo
from collections.abc import Mapping
from functools import cache
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.core.form_fields import LongTextField, NameField
from accounts.customers.user import MAX_PERSON_NAME, User
from accounts.support.requests import MAX_MESSAGE, RequestKind


class SupportForm(forms.Form):
    kind = forms.ChoiceField(label=_("What is it about?"), choices=RequestKind.choices)
    message = LongTextField(label=_("Your message"), limit=MAX_MESSAGE, required=False)

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean() or {}
        if cleaned.get("kind") == RequestKind.OTHER and not cleaned.get("message"):
            self.add_error("message", _("Please write what it is about."))
        return cleaned


class FurtherMessageForm(forms.Form):
    """More about a request that is open. Several of them stand on one page, so each has ids of its own."""

    text = LongTextField(label=_("Add to this request"), limit=MAX_MESSAGE, rows=3)

    def __init__(self, reference: str, posted: Mapping[str, str] | None = None) -> None:
        super().__init__(posted, auto_id=f"{reference}-%s")


@cache
def _zones() -> list[tuple[str, str]]:
    return [(zone, zone.replace("_", " ")) for zone in sorted(zoneinfo.available_timezones())]


class PreferencesForm(forms.ModelForm):  # type: ignore[type-arg]  # not subscriptable at run time
    name = NameField(label=_("Name"), limit=MAX_PERSON_NAME, required=False)
    time_zone = forms.ChoiceField(label=_("Time zone"), choices=_zones)

    class Meta:
        model = User
        fields = ["name", "language", "time_zone"]
