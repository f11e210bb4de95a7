"""`{% load letters %}`: buttons and links in mails, to a page of ours (its path) or to elsewhere."""

from django import template
from django.conf import settings
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.branding import brand

register = template.Library()


@register.simple_tag
def button(url: str, label: str) -> SafeString:
    """What the mail is meant to lead to; one a mail."""
    context = {"url": _whole(url), "label": label, "brand": brand.current()}
    return SafeString(render_to_string("mail/button.html", context))


@register.simple_tag
def link(url: str, label: str) -> SafeString:
    """Another way on, inside of a sentence."""
    return format_html('<a href="{}" style="color:{}">{}</a>', _whole(url), brand.current().light.link, label)


def _whole(url: str) -> str:
    """A mail has no page to which a path could belong."""
    return f"{settings.SITE_URL}{url}" if url.startswith("/") else url
