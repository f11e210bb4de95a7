"""The certificate of an erasing, for whoever has the link of the last mail: no account is needed, and there is none.

The link is for good: what it leads to names nobody, and is the only proof that its owner has. It is in nobody's log of
where a reader came from, and in no search engine.
"""

from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone, translation
from django.views.decorators.http import require_safe

from accounts.core import foreign_input
from accounts.erasure.certificate_page import CertificatePage
from accounts.erasure.certificates import Certificate
from accounts.erasure.last_mail import LastMail

#: A link says no more than this of where it stands, and is not kept by who finds it.
UNTOLD = {"Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex, nofollow"}


@login_not_required
@require_safe
def certificate(request: HttpRequest, link: str) -> HttpResponse:
    """GET (`language`, `time_zone`): the page to read and to print."""
    return page(request, _found(link), json=reverse("certificate_record", args=[link]))


@login_not_required
@require_safe
def record(request: HttpRequest, link: str) -> HttpResponse:
    """GET: the machine's record, sealed as it was issued."""
    return record_file(_found(link))


def page(request: HttpRequest, certificate: Certificate, *, json: str) -> HttpResponse:
    """The page of a certificate. `json` is where its record is.

    In the language and the time zone that the address asks for; in those of every page where it asks for none of ours.
    """
    language, zone = request.GET.get("language", ""), request.GET.get("time_zone", "")
    if language not in dict(settings.LANGUAGES):
        language = translation.get_language() or settings.LANGUAGE_CODE
    asked = foreign_input.zone(zone) if foreign_input.is_zone(zone) else timezone.get_current_timezone()
    with translation.override(language), timezone.override(asked):
        name = timezone.get_current_timezone_name()
        context = {
            "certificate": certificate,
            "page": CertificatePage(certificate),
            "json": json,
            "zone": name,
            "languages": [
                (code, f"?{urlencode({'language': code, 'time_zone': name})}") for code, _name in settings.LANGUAGES
            ],
        }
        response = render(request, "accounts/certificate.html", context)
        response.headers["Content-Language"] = language
        return _untold(response)


def record_file(certificate: Certificate) -> HttpResponse:
    """The record as a file to be kept, and verified without us (docs/verify_certificates.py)."""
    response = HttpResponse(certificate.as_json(), content_type="application/json")
    response.headers["Content-Disposition"] = f'attachment; filename="certificate-{certificate.number}.json"'
    return _untold(response)


def _found(link: str) -> Certificate:
    mail = LastMail.objects.with_token(link)
    if mail is None:
        raise Http404
    return mail.purge.certificate


def _untold(response: HttpResponse) -> HttpResponse:
    for name, value in UNTOLD.items():
        response.headers[name] = value
    return response
