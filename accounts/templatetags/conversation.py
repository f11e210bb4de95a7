"""What was written about a request, for mails: a notice holds a message's number, its text is read when it goes out."""

from django import template

from accounts.customers.account import Account
from accounts.support.messages import Message
from accounts.support.requests import SupportRequest

register = template.Library()


@register.simple_tag
def message_text(number: int) -> str:
    """The text of this message. Escaped where the template escapes."""
    return Message.objects.values_list("text", flat=True).get(pk=number)


@register.simple_tag
def request_of(account: Account, reference: str) -> SupportRequest | None:
    """The request with this reference, for a mail that says again what was asked; None where it is none of theirs."""
    return account.requests.filter(reference=reference).first()


@register.filter
def quoted(text: str) -> str:
    """A text as mails quote it: each line behind a “>”."""
    return "\n".join(f"> {line}".rstrip() for line in text.splitlines())
