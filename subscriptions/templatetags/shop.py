"""`{% load shop %}`: where a mail leads those who would subscribe again."""

from django import template
from django.conf import settings

from accounts.customers.account import Account
from accounts.customers.promises import page_of
from subscriptions.billing.selling import seller

register = template.Library()


@register.simple_tag
def where_to_subscribe(account: Account, buy_url: str) -> str:
    """The page of plans, if owners buy here; else where the vendor sells (`BUY_URL`); empty: nowhere, say nothing."""
    return f"{settings.SITE_URL}{page_of(account, 'plans')}" if seller() else buy_url
