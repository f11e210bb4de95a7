"""The forms of this app's pages."""

import zoneinfo
from collections.abc import Mapping
from functools import cache
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.core.form_fields import LongTextField, NameField
from accounts.customers.user import MAX_PERSON_NAME, User
from accounts.support.requests import MAX_MESSAGE, OWNER_ONLY, RequestKind


class SupportForm(forms.Form):
    """A request. Members ask something; what only the owner may ask for is offered to the owner alone.

    Nothing is chosen for anybody: whoever sends an empty form asks for no money.
    """

    # An owner may ask for a refund or for deletion without a word; the browser must not insist.
    use_required_attribute = False

    kind = forms.ChoiceField(label=_("What is it about?"))
    message = LongTextField(label=_("Your message"), limit=MAX_MESSAGE, required=False)

    def __init__(self, *args: Any, is_owner: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        kinds = [(kind.value, kind.label) for kind in RequestKind if is_owner or kind not in OWNER_ONLY]
        only_one = len(kinds) == 1
        self.fields["kind"] = forms.ChoiceField(
            label=_("What is it about?"),
            choices=kinds if only_one else [("", _("Please choose")), *kinds],
            error_messages={"invalid_choice": _("Only the owner of the account can ask for this.")},
        )
        if only_one:
            self.initial["kind"] = kinds[0][0]
        chosen = self.data.get("kind") if self.is_bound else self.initial.get("kind")
        message = self.fields["message"]
        message.required = chosen not in OWNER_ONLY
        message.error_messages["required"] = _("Please write what it is about.")


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
