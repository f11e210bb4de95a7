"""What a form carries of its page, and links that name their account (`accounts.customers.promises`)."""

from typing import Any

from django import template
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from accounts.customers import promises
from accounts.customers.account import Account
from accounts.customers.promises import ACCOUNT, SHOWN, promise

register = template.Library()


@register.simple_tag
def about(account: Account | None, *facts: object) -> SafeString:
    """The hidden fields of a form: its account (None: there is none yet), and the facts that its page promises."""
    fields = [(ACCOUNT, str(account.pk))] if account else []
    if facts:
        fields.append((SHOWN, promise(*facts)))
    return format_html_join("", '<input type="hidden" name="{}" value="{}">', fields)


@register.simple_tag
def page_of(account: Account, name: str, *args: Any) -> str:
    """The address of a page, which shows this account whichever is in front of the reader."""
    return promises.page_of(account, name, *args)
