"""The first page: the product's, where there is one."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_GET

from accounts.customers import product
from accounts.customers.access import current_membership
from accounts.customers.user import User


@require_GET
def home(request: HttpRequest) -> HttpResponse:
    """GET /: the product's front page; without a product, Subscription Settings.

    Staff who belong to no account work at the support desk: they are sent there.
    """
    if current_membership(request) is None and User.signed_in(request.user).is_staff:
        return redirect("admin:index")
    page = product.home()
    return page(request) if page else redirect("subscription")
