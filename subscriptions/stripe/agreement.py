"""Making Stripe agree with a wish: read, do what is missing, and believe the answer alone.

A call that succeeded says little: `cancel_at_period_end=true` a second after the period rolled over succeeds, and ends
the subscription a whole cycle later. So each attempt begins by reading, each change is judged by the dates of its
answer, and what was too late is undone (`subscriptions.stripe.too_late`). Whoever is killed between two calls leaves
what the next attempt reads; nothing here depends on what an earlier one knew.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from stripe import RequestOptions
from stripe.params import SubscriptionUpdateParams

from accounts.jobs.due_work import NotYet
from subscriptions.billing.provider import Agreement, WishRequest
from subscriptions.billing.wish import Outcome, Want
from subscriptions.stripe import too_late
from subscriptions.stripe.client import StripeApi, StripeError, StripeRefused, not_yet, stripe_api
from subscriptions.stripe.reading import first_start, instant, last_end

#: Statuses after which nothing follows.
OVER = ("canceled", "incomplete_expired")
#: Nothing is paid that could still be used up: it ends now.
NOTHING_PAID = ("incomplete", "past_due", "unpaid", "paused")
#: So often one attempt looks again, because somebody else changed the subscription meanwhile.
MOST_LOOKS = 4
#: Stripe's own jobs begin a new period within minutes; so long they are waited for.
ROLLOVER = timedelta(hours=1)
LOOK_AGAIN = timedelta(minutes=1)
#: What owners tell us, in Stripe's words. The comment stays here: what is in two places is erased twice.
FEEDBACK = {
    "too_expensive": "too_expensive",
    "missing_features": "missing_features",
    "switched": "switched_service",
    "unused": "unused",
    "too_complex": "too_complex",
    "quality": "low_quality",
    "support": "customer_service",
    "other": "other",
}


def agree(request: WishRequest) -> Agreement:
    """Make Stripe do what is wished, and say what is so. Safe to repeat. Raises `NotYet` when it can't be said."""
    try:
        return _Attempt(stripe_api(), request).made()
    except StripeError as error:
        raise not_yet(error) from error


class _Attempt:
    """One turn of one wish."""

    def __init__(self, api: StripeApi, request: WishRequest) -> None:
        self.api, self.request, self.at = api, request, request.at
        self._calls = 0

    def made(self) -> Agreement:
        for _look in range(MOST_LOOKS):
            said = self._read()
            agreement = self._go_on(said) if self.request.want == Want.GO_ON else self._end(said)
            if agreement:
                return agreement
        raise NotYet("the subscription changes at Stripe faster than it is read")

    def _read(self) -> dict[str, Any]:
        return self.api.ask(lambda v1: v1.subscriptions.retrieve(self.request.reference), at=self.at)

    # To go on.

    def _go_on(self, said: Mapping[str, Any]) -> Agreement | None:
        """None: look again."""
        if said.get("status") in OVER:
            return Agreement(Outcome.ENDED, instant(said.get("ended_at")), _facts(said))
        if not said.get("cancel_at_period_end") and not said.get("cancel_at"):
            return Agreement(Outcome.AGREED, None, _facts(said))
        if said.get("schedule"):
            # A schedule's end can't be taken back by itself; releasing takes it away.
            self._release(said["schedule"])
        elif said.get("cancel_at_period_end"):
            # One field a call, and nothing else with it: both together are refused.
            self._change({"cancel_at_period_end": False}, "go-on")
        else:
            self._change({"cancel_at": ""}, "go-on")
        return None

    # To end.

    def _end(self, said: Mapping[str, Any]) -> Agreement | None:
        """None: look again."""
        wanted = self._wanted_end()
        if said.get("status") in OVER:
            return self._over(said)
        begun_too_late = (began := first_start(said)) is not None and began >= wanted
        if self.request.at_once or begun_too_late or said.get("status") in NOTHING_PAID:
            ended = self._end_now()
            return self._over(ended) if ended else None
        ends = last_end(said)
        if ends is None:
            raise NotYet("Stripe does not say when the period ends")
        if ends < wanted and ends <= self.at < ends + ROLLOVER:
            # Promised by arithmetic, because the period was over: the one that was meant is about to begin.
            return Agreement(Outcome.WAITING, None, _facts(said), again_at=self.at + LOOK_AGAIN)
        due = instant(said.get("cancel_at"))
        if due is not None and (due <= wanted or said.get("cancel_at_period_end")):
            return Agreement(Outcome.AGREED, _later(due, wanted), _facts(said))
        if said.get("schedule"):
            # Under a schedule the end can't be set; and a release drops an end that the schedule had set.
            self._release(said["schedule"])
            return None
        change: SubscriptionUpdateParams = {"cancel_at_period_end": True}
        if feedback := FEEDBACK.get(self.request.feedback):
            change["cancellation_details"] = {"feedback": feedback}
        if self.request.cancellation_reference:
            change["metadata"] = {"offboard_cancellation": self.request.cancellation_reference}
        answer = self._change(change, "end")
        if answer is None:
            return None
        # What it says of itself now: maybe that the next period has begun meanwhile.
        if answer.get("status") in OVER or ((began := first_start(answer)) is not None and began >= wanted):
            return self._end(answer)
        due = instant(answer.get("cancel_at"))
        if due is None:
            raise NotYet("Stripe took the end, and does not say when it is")
        return Agreement(Outcome.AGREED, _later(due, wanted), _facts(answer))

    def _over(self, said: Mapping[str, Any]) -> Agreement:
        """It has ended there: what was charged or asked for after the end that was promised is undone."""
        undoing = too_late.undo(self.api, self.request, said)
        facts = {**_facts(said), **undoing.facts}
        if undoing.again_at:
            return Agreement(Outcome.ROLLED_OVER, None, facts, again_at=undoing.again_at, paid_back=undoing.paid_back)
        return Agreement(Outcome.ENDED, None, facts, paid_back=undoing.paid_back)

    def _wanted_end(self) -> datetime:
        """In whole seconds, as Stripe counts."""
        assert self.request.wanted_end_at is not None
        return self.request.wanted_end_at.replace(microsecond=0)

    # Calls that change something. None: it was not as it had been read.

    def _change(self, change: SubscriptionUpdateParams, verb: str) -> dict[str, Any] | None:
        options = self._options(verb)
        try:
            return self.api.ask(
                lambda v1: v1.subscriptions.update(self.request.reference, change, options),
                at=self.at,
            )
        except StripeRefused as refused:
            if _has_ended(refused) or "schedule" in refused.message:
                return None
            raise

    def _end_now(self) -> dict[str, Any] | None:
        options = self._options("end-now")
        try:
            answer = self.api.ask(
                lambda v1: v1.subscriptions.cancel(
                    self.request.reference,
                    {"prorate": False, "invoice_now": False},
                    options,
                ),
                at=self.at,
            )
        except StripeRefused as refused:
            if _has_ended(refused):
                return None
            raise
        return answer if answer.get("status") in OVER else None

    def _release(self, schedule: str | Mapping[str, Any]) -> None:
        reference = schedule if isinstance(schedule, str) else str(schedule.get("id"))
        options = self._options("release")
        try:
            self.api.ask(lambda v1: v1.subscription_schedules.release(reference, {}, options), at=self.at)
        except StripeRefused:
            # Released or over by now, it no longer stands in the way; if it does, the next look finds it again.
            return

    def _options(self, verb: str) -> RequestOptions:
        """A key for this call of this attempt: another attempt reads first, and must not be told the old answer.

        Stripe replays a stored answer for a day, a failure too, whether or not the world has moved.
        """
        self._calls += 1
        request = self.request
        number = f"{request.subscription_id}:{request.version}"
        return {"idempotency_key": f"wish:{number}:{self.at.timestamp():.6f}:{self._calls}:{verb}"}


def _later(due: datetime, wanted: datetime) -> datetime | None:
    """The end to move ours to: the paid period is what Stripe says. Never before what the owner was told."""
    return due if due > wanted else None


def _has_ended(refused: StripeRefused) -> bool:
    """Whether the refusal means that the subscription has ended: by code and type, then by Stripe's text."""
    if refused.is_missing or refused.code == "invalid_canceled_subscription_fields":
        return True
    text = refused.message.lower()
    return refused.kind == "invalid_request_error" and (
        "already canceled" in text or "canceled subscription can only update" in text
    )


def _facts(said: Mapping[str, Any]) -> dict[str, Any]:
    details = said.get("cancellation_details")
    told = {
        "status": said.get("status"),
        "cancel_at": said.get("cancel_at"),
        "ended_at": said.get("ended_at"),
        "reason": details.get("reason") if isinstance(details, dict) else None,
    }
    return {name: value for name, value in told.items() if value is not None}
