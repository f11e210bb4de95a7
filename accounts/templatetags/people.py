"""`{% load people %}`: the link of an invitation, for the mail that carries it."""

import uuid

from django import template
from django.urls import reverse

from accounts.people.invitation import Invitation

register = template.Library()


@register.simple_tag
def invitation_path(invitation: str) -> str:
    """Where the newest mail of this invitation leads. The token is computed here, and kept nowhere."""
    return reverse("invitation_open", args=[Invitation.objects.get(pk=uuid.UUID(invitation)).token()])


@register.simple_tag
def inviter(invitation: str) -> str:
    """Who invited, as members call them; empty if they are gone."""
    person = Invitation.objects.select_related("invited_by").get(pk=uuid.UUID(invitation)).invited_by
    return str(person) if person else ""
