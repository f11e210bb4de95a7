"""What was written about a request, for mails: a notice holds a message's number, its text is read when it goes out."""

from django import template

from accounts.support.messages import Message

register = template.Library()


@register.simple_tag
def message_text(number: int) -> str:
    """The text of this message. Escaped where the template escapes."""
    return Message.objects.values_list("text", flat=True).get(pk=number)
