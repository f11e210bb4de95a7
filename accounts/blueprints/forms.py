"""How a blueprint is edited."""

import json
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from accounts.blueprints.components import validate_components
from accounts.core import strict_json
from accounts.core.form_fields import NameField


class ComponentsField(forms.CharField):
    """A blueprint's components as JSON text."""

    widget = forms.Textarea(attrs={"rows": 10, "spellcheck": "false"})

    def prepare_value(self, value: Any) -> Any:
        return value if isinstance(value, str) else json.dumps(value, indent=1, ensure_ascii=False)

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value)
        if not text:
            return []
        try:
            return validate_components(strict_json.parse(text))
        except strict_json.BadJSON as error:
            raise ValidationError(_("This is not JSON that can be read: %(why)s"), params={"why": error}) from error


class BlueprintForm(forms.Form):
    name = NameField(label=_("Name"), limit=200)
    components = ComponentsField(label=_("Components (JSON)"), required=False)
