"""The form of the cancellation page."""

from django import forms
from django.utils.translation import gettext_lazy as _

from subscriptions.cancellation import MAX_COMMENT, Reason


class CancellationForm(forms.Form):
    """Both questions are optional: nobody has to explain themselves to leave."""

    reason = forms.ChoiceField(
        label=_("Why are you leaving?"), required=False, choices=[("", _("I'd rather not say")), *Reason.choices]
    )
    comment = forms.CharField(
        label=_("What could we have done better?"),
        required=False,
        max_length=MAX_COMMENT,
        widget=forms.Textarea(attrs={"rows": 4}),
    )
