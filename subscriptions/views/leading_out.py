"""Forms that are answered by a redirect to a provider's page: the browser must be told that they may be."""

from django.http import HttpResponse

from subscriptions.billing.selling import Seller


def lead_out(page: HttpResponse, provider: Seller | None) -> HttpResponse:
    """The page, whose Content-Security-Policy lets its forms end on the provider's pages, too; and on no others."""
    if provider is not None:
        # Read by `csp.middleware.CSPMiddleware`, as its own decorators write it: who sells is not known before.
        page._csp_update = {"form-action": list(provider.pages)}  # type: ignore[attr-defined]  # of django-csp
    return page
