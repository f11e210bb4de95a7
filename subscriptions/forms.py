"""The form of the cancellation page."""

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.core.form_fields import LongTextField
from subscriptions.cancellation import CHOSEN, MAX_COMMENT


class CancellationForm(forms.Form):
    """Both questions are optional: nobody has to explain themselves to leave."""

    reason = forms.ChoiceField(
        label=_("Why are you leaving?"), required=False, choices=[("", _("I'd rather not say")), *CHOSEN]
    )
    comment = LongTextField(label=_("What could we have done better?"), limit=MAX_COMMENT, rows=4, required=False)
