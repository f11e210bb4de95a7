"""Stripe's redaction of a customer and all that hangs on it: invoices, payments, events, logs.

A public preview (docs.stripe.com/api/privacy/redaction-job), which Stripe answers under the preview of a version alone
and its library does not know; it can't be undone.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

from stripe import RequestOptions

from accounts.jobs.due_work import NotYet
from subscriptions.stripe.client import API_VERSION, stripe_api
from subscriptions.stripe.forgetting_step import ForgettingStep

REDACTION = "/v1/privacy/redaction_jobs"
PREVIEW_VERSION = API_VERSION.partition(".")[0] + ".preview"
#: A redaction takes Stripe minutes to hours.
ASK_AGAIN = timedelta(minutes=15)
#: Of what is in its way, so many are named.
NAMED = 5


def redact(step: ForgettingStep, at: datetime) -> dict[str, Any]:
    """One redaction job of Stripe's (a public preview, docs/stripe.md): made, run, and asked about until it is done.

    What is in its way can only be mended at Stripe: it checks again whenever we ask, and the row says what it found.
    """
    job = str(step.facts.get("job", ""))
    if job:
        said = _preview("get", f"{REDACTION}/{job}", at)
    else:
        wanted = {"objects": {"customers": [step.customer]}, "validation_behavior": "error"}
        # One key for all attempts: an answer that was lost must not make a second job.
        said = _preview("post", REDACTION, at, wanted, key=f"forget:{step.pk}:redact:{step.facts.get('cancelled', 0)}")
        job = str(said["id"])
        _note(step, job=job)
    if said.get("status") == "ready":
        said = _preview("post", f"{REDACTION}/{job}/run", at, key=f"forget:{step.pk}:run:{job}")
    match said.get("status"):
        case "succeeded":
            return {"redacted": True}
        case "failed":
            why = _preview("get", f"{REDACTION}/{job}/validation_errors", at)
            _preview("post", f"{REDACTION}/{job}/validate", at, key=step.key("validate", job))
            raise NotYet(f"Stripe can’t redact yet ({job}): {_in_the_way(why) or 'its dashboard says why'}")
        case "canceled" | "canceling":
            # By somebody in the dashboard: a new one next time.
            _note(step, job="", cancelled=int(step.facts.get("cancelled", 0)) + 1)
            raise NotYet(f"Stripe’s redaction {job} was cancelled there")
        case status:
            raise NotYet(f"Stripe’s redaction {job} is {status}", until=at + ASK_AGAIN, counts=False)


def _preview(
    method: Literal["get", "post"], path: str, at: datetime, given: Mapping[str, Any] | None = None, *, key: str = ""
) -> dict[str, Any]:
    """A call that Stripe's library does not know."""
    options: RequestOptions = {"stripe_version": PREVIEW_VERSION}
    if key:
        options["idempotency_key"] = key
    return stripe_api().ask(lambda v1: v1._request(method, path, given, options, base_address="api"), at=at)


def _note(step: ForgettingStep, **facts: str | int) -> None:
    """At once: what was made at Stripe is found again, whatever becomes of this attempt."""
    step.facts = {**step.facts, **facts}
    ForgettingStep.objects.filter(pk=step.pk).update(facts=step.facts)


def _in_the_way(errors: Mapping[str, Any]) -> str:
    """What Stripe names, by codes and its ids alone: its sentences may hold anything."""
    listed = errors.get("data")
    named = []
    for error in listed if isinstance(listed, list) else []:
        about = error.get("erroring_object") if isinstance(error, Mapping) else None
        about = about if isinstance(about, Mapping) else {}
        named.append(f"{str(error.get('code'))[:60]} {str(about.get('id', ''))[:60]}".strip())
    return ", ".join(named[:NAMED])
