"""What the pages of the support desk are made of: buttons for acts, and progress."""

from dataclasses import dataclass
from typing import Any

from django import template
from django.contrib.admin.views.main import ChangeList
from django.db.models import Model
from django.urls import reverse
from django.utils.functional import Promise

from accounts.core import clock
from accounts.desk.actions.action import NEW, acts_of, acts_that_make

register = template.Library()


@dataclass(frozen=True)
class Button:
    label: str | Promise
    url: str
    is_grave: bool


@register.simple_tag(takes_context=True)
def acts(context: dict[str, Any], row: Model) -> list[Button]:
    """Buttons for what the reader may do to this row just now."""
    user = context["request"].user
    at = clock.now()
    return [
        Button(act.label, reverse("admin:act", args=[act.name, row.pk]), act.is_grave)
        for act in acts_of(type(row))
        if user.has_perm(act.permission) and act.offered(row, at)
    ]


@register.simple_tag(takes_context=True)
def makers(context: dict[str, Any], changelist: ChangeList) -> list[Button]:
    """Buttons for what makes new rows of a list, as far as the reader may. (A template would call its `model`.)"""
    user = context["request"].user
    return [
        Button(act.label, reverse("admin:act", args=[act.name, NEW]), act.is_grave)
        for act in acts_that_make(changelist.model)
        if user.has_perm(act.permission)
    ]
