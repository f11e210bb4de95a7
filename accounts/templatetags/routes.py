"""Where a request goes that is not ours alone to answer, for mails."""

from django import template

from accounts.support import routing

register = template.Library()


@register.filter
def route(code: str) -> routing.Route | None:
    """The route with this code; None for none, and for one that is no longer known."""
    return routing.named(code) if code else None
