"""`{% load losses %}`: what the facts of a mail say is lost, and what stays (`accounts.customers.losses`)."""

from typing import Any

from django import template
from django.template import Context

from accounts.customers import losses
from accounts.customers.losses import Lost, Stay

register = template.Library()


@register.simple_tag(takes_context=True)
def losses_told(context: Context) -> list[Lost]:
    """The losses that this mail tells of: `{% losses_told as lines %}`."""
    facts: dict[Any, Any] = context.flatten()
    return losses.told(facts)


@register.simple_tag
def what_stays() -> list[Stay]:
    return [stay for stay in losses.STAYS.all() if stay.in_mails]
