"""`{% load formats %}`: instants, days, money and counts in templates (`accounts.core.formats`)."""

from django import template

from accounts.core import formats

register = template.Library()

register.filter(formats.moment)
register.filter(formats.day)
register.filter(formats.duration)
register.filter(formats.number)
register.filter(formats.percent)
register.filter(formats.short_day)
register.filter(formats.calendar_day)
register.simple_tag(formats.instant)
register.simple_tag(formats.stamp)
register.simple_tag(formats.date)
register.simple_tag(formats.money)
