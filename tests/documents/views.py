from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from accounts.core import clock
from accounts.customers import entitlements
from accounts.customers.access import for_members
from accounts.customers.account import Membership
from tests.documents.models import Document


@for_members
def documents(request: HttpRequest, membership: Membership) -> HttpResponse:
    """The account's documents. Writing one takes the feature; reading does not."""
    if request.method == "POST":
        entitlements.require("documents", membership.account, clock.of(request))
        Document.objects.create(account=membership.account, title=request.POST["title"])
    found = Document.objects.filter(account=membership.account)
    return render(request, "documents/documents.html", {"documents": found})
