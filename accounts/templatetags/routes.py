"""Where a request goes that is not ours alone to answer, for mails."""

from django import template

from accounts import routes

register = template.Library()


@register.filter
def route(code: str) -> routes.Route | None:
    """The route with this code; None for none, and for one that is no longer known."""
    return routes.named(code) if code else None
