"""Form fields for what people type: each takes its value through `accounts.core.foreign_input`."""

from datetime import datetime
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.core import currencies, foreign_input


class NameField(forms.CharField):
    """A name, a number or a reference on one line."""

    def __init__(self, *, limit: int, **kwargs: Any) -> None:
        self.limit = limit
        super().__init__(**kwargs)

    def to_python(self, value: Any) -> str:
        return foreign_input.name(str(super().to_python(value) or ""), limit=self.limit)

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        return {**super().widget_attrs(widget), "maxlength": str(self.limit)}


class LongTextField(forms.CharField):
    """A text of several lines, in which a line break counts as the one character that it was when typed."""

    def __init__(self, *, limit: int, rows: int = 6, **kwargs: Any) -> None:
        self.limit = limit
        super().__init__(widget=forms.Textarea(attrs={"rows": rows}), **kwargs)

    def to_python(self, value: Any) -> str:
        return foreign_input.text(str(super().to_python(value) or ""), limit=self.limit)

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        return {**super().widget_attrs(widget), "maxlength": str(self.limit)}


class AddressField(forms.EmailField):
    """A mail address, as people paste it; cleaned to the form in which addresses are kept."""

    def to_python(self, value: Any) -> str:
        typed = str(super().to_python(value) or "")
        return foreign_input.address(typed) if typed else typed


class InstantField(forms.SplitDateTimeField):
    """A day and a time in the reader's zone, in a year that can be meant."""

    def __init__(self, *, label: Any, **kwargs: Any) -> None:
        widget = forms.SplitDateTimeWidget(date_attrs={"type": "date"}, time_attrs={"type": "time"})
        super().__init__(label=label, widget=widget, help_text=_("In your time zone."), **kwargs)

    def clean(self, value: Any) -> datetime | None:
        at: datetime | None = super().clean(value)
        return foreign_input.instant(at) if at else None


class SeatsField(forms.IntegerField):
    """A number of seats: one at least."""

    def __init__(self, *, label: Any, **kwargs: Any) -> None:
        super().__init__(label=label, min_value=1, max_value=foreign_input.MAX_SEATS, **kwargs)


class MoneyField(forms.DecimalField):
    """An amount as people write it; cleaned to hundredths. A form that says of which currency, calls `in_currency`."""

    def __init__(self, *, label: Any, **kwargs: Any) -> None:
        super().__init__(
            label=label,
            max_digits=10,
            decimal_places=2,
            min_value=0,
            max_value=foreign_input.MAX_CENTS // 100,
            **kwargs,
        )

    def clean(self, value: Any) -> int | None:
        amount = super().clean(value)
        return None if amount is None else int(amount * 100)


def in_currency(form: forms.BaseForm, currency: str, *names: str) -> None:
    """Turn amounts of a form, in hundredths so far, into the currency's smallest units. Called by its `clean`."""
    for name in names:
        if (hundredths := form.cleaned_data.get(name)) is not None:
            try:
                form.cleaned_data[name] = currencies.from_hundredths(hundredths, currency)
            except currencies.NotThatSmall:
                form.add_error(name, _("This currency has no smaller unit: enter a whole amount."))
