"""Fields that several acts ask for."""

from datetime import datetime
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.identity import FACTS_NEEDED, IdentityFact, NotIdentified, proven


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


class InstantField(forms.SplitDateTimeField):
    """A day and a time in the reader's zone."""

    def __init__(self, *, label: Any, **kwargs: Any) -> None:
        widget = forms.SplitDateTimeWidget(date_attrs={"type": "date"}, time_attrs={"type": "time"})
        super().__init__(label=label, widget=widget, help_text=_("In your time zone."), **kwargs)


class MoneyField(forms.DecimalField):
    """An amount as people write it; cleaned to cents."""

    def __init__(self, *, label: Any, **kwargs: Any) -> None:
        super().__init__(label=label, max_digits=10, decimal_places=2, min_value=0, **kwargs)

    def clean(self, value: Any) -> int | None:
        amount = super().clean(value)
        return None if amount is None else int(amount * 100)

    def prepare_value(self, value: Any) -> Any:
        return value


def text_field(label: Any, *, limit: int, required: bool = True, help_text: Any = "") -> forms.CharField:
    """A text of several lines."""
    return forms.CharField(
        label=label,
        max_length=limit,
        required=required,
        help_text=help_text,
        widget=forms.Textarea(attrs={"rows": 6}),
    )


def later_than(at: datetime, value: datetime) -> datetime:
    """`value`, if it is later than `at`. Raises `ValidationError`."""
    if value <= at:
        raise forms.ValidationError(_("This has to be in the future."))
    return value
