"""What several acts ask for."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.support.identity import FACTS_NEEDED, IdentityFact, NotIdentified, proven


class IdentityField(forms.MultipleChoiceField):
    """Which facts were compared with somebody who can't sign in: their names, never the facts themselves."""

    widget = forms.CheckboxSelectMultiple

    def __init__(self, *, at_least: int = FACTS_NEEDED, **kwargs: Any) -> None:
        self.at_least = at_least
        super().__init__(
            label=_("Compared with the person"),
            choices=IdentityFact.choices,
            required=at_least > 0,
            help_text=_("Which facts agreed, not what they are. What the customer did while signed in needs none."),
            **kwargs,
        )

    def clean(self, value: Any) -> list[str]:
        try:
            return proven(super().clean(value), at_least=self.at_least)
        except NotIdentified as error:
            raise forms.ValidationError(str(error)) from error
