"""A letter: one mail to one person, in their language and zone, in the vendor's name.

Whoever writes to somebody writes through here: notices (`accounts.mail.sending`), sign-in mails
(`accounts.signing_in.sign_in`). A letter's template is `<template>.txt`: its first line is the subject, the rest is
what it says. Greeting, signature, foot and the address for answers are added, the same for all. `<template>.html` is
the same for those who read HTML; where there is none it is made of the text: a paragraph each, and a button where a
paragraph ends with a line that is nothing but an address of ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template import TemplateDoesNotExist
from django.template.loader import get_template, render_to_string
from django.utils import timezone, translation

from accounts.branding import brand
from accounts.core import foreign_input


@dataclass(frozen=True)
class Reader:
    """To whom a letter goes. A name that is not known is left out of the greeting."""

    address: str
    name: str = ""
    language: str = ""
    time_zone: str = "UTC"


@dataclass(frozen=True)
class Paragraph:
    """A part of a letter: what it says, and where its button leads, if it has one."""

    text: str
    url: str = ""

    @property
    def label(self) -> str:
        """What stands on the button: the words before the address, without the colon that leads to it."""
        return self.text.rstrip(" :\u00a0\u202f")


def write(
    template: str, *, to: Reader, concerning: str = "", message_id: str = "", **facts: Any
) -> EmailMultiAlternatives:
    """The letter, ready to be sent.

    `concerning` is the account that it is about, for its foot; `message_id` what is left of the @ in its Message-ID,
    for a letter that may go out twice and must be told as one. `facts` are what the template says. Sends nothing.
    """
    language = to.language or translation.get_language() or settings.LANGUAGE_CODE
    context = {**standing(), **facts, "to": to, "concerning": concerning}
    with translation.override(language), timezone.override(foreign_input.zone(to.time_zone)):
        subject, _, said = render_to_string(f"{template}.txt", context).strip().partition("\n")
        body = _without_gaps(said)
        text = render_to_string("mail/frame.txt", {**context, "body": body}).strip() + "\n"
        html = _html(template, {**context, "subject": subject.strip(), "paragraphs": paragraphs(body)})
    letter = EmailMultiAlternatives(subject.strip(), text, to=[to.address], reply_to=[settings.SUPPORT_EMAIL])
    letter.extra_headers = {"Auto-Submitted": "auto-generated", "Content-Language": language}
    if message_id:
        letter.extra_headers["Message-ID"] = f"<{message_id}@{urlsplit(settings.SITE_URL).hostname}>"
    letter.attach_alternative(html, "text/html")
    return letter


def standing() -> Mapping[str, Any]:
    """What every letter knows."""
    vendor = brand.current()
    return {
        "brand": vendor,
        "site_url": settings.SITE_URL,
        "buy_url": vendor.buy_url,
        "support_email": vendor.support_email,
    }


def paragraphs(body: str) -> list[Paragraph]:
    """A text as paragraphs. An address that stands alone is a button only if it leads to us: we write no others."""
    found = []
    for part in body.split("\n\n"):
        text, _, last = part.rpartition("\n")
        is_ours = last.startswith(f"{settings.SITE_URL}/") and " " not in last
        found.append(Paragraph(text, last) if text and is_ours else Paragraph(part))
    return found


def _html(template: str, context: Mapping[str, Any]) -> str:
    try:
        own = get_template(f"{template}.html")
    except TemplateDoesNotExist:
        own = get_template("mail/written.html")
    return str(own.render(dict(context)))


def _without_gaps(text: str) -> str:
    """Lines without blanks at their ends, and one empty line between paragraphs where a template left several."""
    lines: list[str] = []
    for line in map(str.rstrip, text.strip().split("\n")):
        if line or (lines and lines[-1]):
            lines.append(line)
    return "\n".join(lines)
