"""Carrying out offboarding steps: the `offboard` sweep.

A step is claimed by moving its next attempt ahead, carried out without a transaction around its calls, and noted. A
step that is not done backs off and is tried again until its limit; then it gives up, says what is left for staff, and
lets the next one go on. What a step does to the outside is noted thing by thing, so that a killed worker's successor
goes on where it stopped.
"""

import time
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from accounts import clock, history, invariants, purge, sweeps
from accounts.history import Actor
from accounts.models import Account
from accounts.refusal import Refused
from marketplace.github import api, truth
from marketplace.github.customer import Customer
from marketplace.github.hooks import RepositoryHook
from marketplace.github.tokens import UnreadableToken, UserToken, decrypt
from marketplace.offboarding import Offboarding, Step, StepKind

#: For so long a claimed step is left to the worker that claimed it; a step looks at the clock before it is over.
LEASE = timedelta(minutes=10)
#: A step works for at most this long at a time, far below the lease.
TURN = timedelta(minutes=4)
RUN = timedelta(minutes=8)
FIRST_WAIT = timedelta(minutes=5)
LONGEST_WAIT = timedelta(hours=6)
#: So often a refused hook is tried, in case the refusal was a mistake; asking on for hours would be one of ours.
PERMISSION_TRIES = 3
#: A step that has failed for so long is shown to staff.
OVERDUE = timedelta(hours=24)


class NotYet(Exception):
    """The step can't be done now. `until`: a date to wait for, else back-off decides."""

    def __init__(self, why: str, until: datetime | None = None) -> None:
        super().__init__(why)
        self.until = until


class NotToBeSkipped(Refused):
    text = _("The erasing can't be skipped. Set a hold, if there is a reason to wait.")


def register() -> None:
    """Register the sweep and its invariants. Called once, by `MarketplaceConfig.ready`."""
    sweeps.register(sweeps.Sweep("offboard", run=carry_out_due, preview=preview, late_after=timedelta(minutes=20)))
    invariants.register(
        invariants.Invariant(
            "offboarding-step",
            _("offboarding steps that have failed for more than a day"),
            lambda at: (
                Step.objects.undone()
                .filter(
                    attempts__gt=0,
                    offboarding__received_at__lt=at - OVERDUE,
                    offboarding__called_off_at=None,
                    next_attempt_at__lt=at + LONGEST_WAIT,
                )
                .exclude(kind=StepKind.PURGE)
            ),
            shown_as="offboarding",
            listed_by="finished_at__isempty=1&called_off_at__isempty=1",
        )
    )
    invariants.register(
        invariants.Invariant(
            "offboarding-without-purge",
            _("open offboardings that nothing will finish: no erasing is scheduled for them"),
            lambda at: Offboarding.objects.open().without_purge(),
            listed_by="finished_at__isempty=1&called_off_at__isempty=1",
        )
    )


def preview(at: datetime) -> Iterator[str]:
    """Which steps `carry_out_due` would try at `at`, a line each."""
    for step in Step.objects.due(at).select_related("offboarding").iterator():
        yield f"{step.offboarding.account_id}: {step.kind}, deadline {step.offboarding.deadline_at:%Y-%m-%d %H:%M}Z"


def carry_out_due(at: datetime) -> int:
    """Try every step that is due at `at`. Returns how many were done."""
    done = 0
    stop = clock.now() + RUN
    while clock.now() < stop and (step := _claim(at)):
        done += carry_out(step, at)
    return done


def carry_out(step: Step, at: datetime) -> bool:
    """Try one claimed step, and note how it went. Returns whether it is done."""
    try:
        remark = _WORK[StepKind(step.kind)](step, at)
    except NotYet as reason:
        return _later(step, str(reason), at, until=reason.until)
    except api.Limited as limit:
        return _later(step, str(limit), at, until=limit.until, counts=False)
    except (api.ApiError, UnreadableToken) as error:
        return _later(step, str(error), at)
    return _finish(step, remark, at)


def retry(step: Step, *, at: datetime) -> bool:
    """Have an undone step tried with the next run, instead of when its back-off says. Returns whether it was undone."""
    return bool(Step.objects.undone().filter(pk=step.pk).update(next_attempt_at=at))


def skip(step: Step, *, because: str, by: Actor, at: datetime) -> bool:
    """Have a step count as done though it is not, and the next one go on. Returns whether anything changed.

    Raises `NotToBeSkipped` for the erasing of data: that ends by its proof alone.
    """
    if step.kind == StepKind.PURGE:
        raise NotToBeSkipped
    return _finish(step, f"skipped: {because}", at, by=by)


def _later(step: Step, why: str, at: datetime, *, until: datetime | None = None, counts: bool = True) -> bool:
    if at >= step.limit_at and step.kind != StepKind.PURGE:
        return _finish(step, f"given up: {why}", at)
    wait = min(FIRST_WAIT * 2 ** min(step.attempts, 20), LONGEST_WAIT)
    step.attempts += int(counts)
    step.last_error = why[:2000]
    step.next_attempt_at = until or at + wait
    if step.kind != StepKind.PURGE:
        # The limit is looked at in time, however long the wait has grown.
        step.next_attempt_at = min(step.next_attempt_at, max(step.limit_at, at + FIRST_WAIT))
    step.save(update_fields=["attempts", "last_error", "next_attempt_at"])
    return False


def _finish(step: Step, remark: str, at: datetime, *, by: Actor | None = None) -> bool:
    with transaction.atomic():
        noted = Step.objects.undone().filter(pk=step.pk).update(done_at=at, remark=remark, last_error="")
        if not noted:
            return False
        history.record(
            step.offboarding.account_id,
            f"offboarding.{step.kind}",
            at=at,
            by=by or Actor.system(),
            offboarding=step.offboarding_id,
            as_it_should=not remark,
        )
        if step.kind == StepKind.PURGE:
            Offboarding.objects.open().filter(pk=step.offboarding_id).update(finished_at=at)
    return True


def _claim(at: datetime) -> Step | None:
    with transaction.atomic():
        step = (
            Step.objects.due(at)
            .select_related("offboarding")
            .select_for_update(skip_locked=True, no_key=True, of=("self",))
            .first()
        )
        if step:
            Step.objects.filter(pk=step.pk).update(next_attempt_at=at + LEASE)
    return step


def _confirm(step: Step, at: datetime) -> str:
    """Ask GitHub whether the customer is really gone. If not, the answer itself calls the offboarding off."""
    customer = Customer.objects.filter(account_id=step.offboarding.account_id).first()
    if customer is None:
        return "the customer is no longer known"
    if not api.is_configured():
        return "not confirmed: no credentials are configured"
    answer = api.get_account(customer.github_id, at=at)
    with transaction.atomic():
        truth.apply_answer(customer.github_id, answer, at)
    if answer is not None:
        raise NotYet("GitHub says that the customer has an active plan", until=at + timedelta(minutes=11))
    return ""


def _delete_hooks(step: Step, at: datetime) -> str:
    """Delete the hooks that we made, one after the other, a second apart, with a token that may."""
    account_id = step.offboarding.account_id
    tokens = {token.github_user_id: token for token in _tokens_of(account_id)}
    stop = clock.now() + TURN
    worth_trying_again = False
    for hook in RepositoryHook.objects.remaining().filter(account_id=account_id).order_by("pk"):
        if clock.now() > stop:
            raise NotYet("more hooks are left than one turn deletes", until=at)
        worth_trying_again |= _delete_hook(hook, [*_own_first(hook, tokens)], at)
    resisting = RepositoryHook.objects.remaining().filter(account_id=account_id)
    if not (count := resisting.count()):
        return ""
    left = f"{count} hooks could not be deleted: {', '.join(str(hook) for hook in resisting[:5])}"
    if step.attempts < PERMISSION_TRIES or worth_trying_again:
        raise NotYet(left)
    return f"given up: {left}"


def _text(token: UserToken, at: datetime) -> str:
    """The token, renewed first if it has expired: a GitHub App's tokens live for eight hours."""
    if token.expires_at and token.expires_at <= at + timedelta(minutes=5) and token.refresh:
        access, refresh, expires_at = api.refresh(decrypt(token.refresh), at=at)
        token.renew(access=access, refresh=refresh, expires_at=expires_at)
    return token.text()


def _own_first(hook: RepositoryHook, tokens: dict[int, UserToken]) -> Iterator[UserToken]:
    """The token that made the hook, then the others of the account."""
    if hook.github_user_id in tokens:
        yield tokens[hook.github_user_id]
    yield from (token for user_id, token in tokens.items() if user_id != hook.github_user_id)


def _delete_hook(hook: RepositoryHook, tokens: list[UserToken], at: datetime) -> bool:
    """Try the tokens in turn, and note on the hook how it went. Returns whether it is worth trying again.

    204 deletes. 404 means "gone" only to a token that sees the repository's hooks: GitHub says 404, too, to one that
    lacks the right. A token that is refused will be refused in an hour; an error of GitHub's may pass.
    """
    errors = [] if tokens else ["no token of this account is left"]
    may_pass = False
    for token in tokens:
        try:
            text = _text(token, at)
            status = api.delete_hook(hook.repository, hook.hook_id, text, at=at).status
            if status in (404, 410):
                status = 204 if api.sees_hooks(hook.repository, text, at=at) else 404
        except api.Denied as denied:
            status = denied.status
        except api.Unavailable as error:
            errors.append(str(error))
            may_pass = True
            continue
        finally:
            time.sleep(settings.GITHUB_MUTATION_PAUSE)
        if status == 204:
            hook.deleted_at, hook.last_error = at, ""
            hook.save(update_fields=["deleted_at", "last_error"])
            return False
        errors.append(f"{token.login}: {status}")
    hook.last_error = "; ".join(errors)[:300]
    hook.save(update_fields=["last_error"])
    return may_pass


def _revoke_tokens(step: Step, at: datetime) -> str:
    """Revoke the tokens of the account's people, but for those that another account of theirs still needs."""
    kept = 0
    for token in _tokens_of(step.offboarding.account_id):
        if _needed_elsewhere(token, step.offboarding.account_id):
            kept += 1
            continue
        if not _revoke(token, at):
            raise NotYet(f"GitHub refuses to revoke the token of {token.github_user_id}, and still knows it")
        token.forget(at)
        time.sleep(settings.GITHUB_MUTATION_PAUSE)
    return f"{kept} kept for another account of the same person" if kept else ""


def _revoke(token: UserToken, at: datetime) -> bool:
    """Whether nothing is left to revoke: the whole authorisation goes, or the token alone, or it was dead before."""
    try:
        text = _text(token, at)
    except api.Denied:
        # It has expired, and so has what could renew it.
        return True
    if api.revoke_grant(text, at=at).status == 204 or api.revoke_token(text, at=at).status == 204:
        return True
    # 404 and 422 mean unknown, but 422 also means "spammed": the check call tells (reference, 4.1).
    return api.token_is_dead(text, at=at)


def _tokens_of(account_id: uuid.UUID) -> list[UserToken]:
    return list(UserToken.objects.alive().filter(user__memberships__account_id=account_id).order_by("pk"))


def _needed_elsewhere(token: UserToken, account_id: uuid.UUID) -> bool:
    """Whether the person belongs to another account that holds a purchase at GitHub."""
    return (
        Account.objects.filter(
            memberships__user_id=token.user_id, deactivated_at=None, github_customer__cancelled_at=None
        )
        .filter(github_customer__isnull=False)
        .exclude(pk=account_id)
        .exists()
    )


def _await_purge(step: Step, at: datetime) -> str:
    """The purge runs by itself (`accounts.purge`); this step ends with its proof."""
    done = purge.Purge.objects.of(step.offboarding.account_id).filter(verified_at__gte=step.offboarding.received_at)
    if done.exists():
        return ""
    raise NotYet("the purge is not verified yet", until=at + timedelta(minutes=5))


def _deactivate(step: Step, at: datetime) -> str:
    """Done when the offboarding began, in its transaction."""
    return ""


_WORK: dict[StepKind, Callable[[Step, datetime], str]] = {
    StepKind.DEACTIVATE: _deactivate,
    StepKind.CONFIRM: _confirm,
    StepKind.HOOKS: _delete_hooks,
    StepKind.TOKENS: _revoke_tokens,
    StepKind.PURGE: _await_purge,
}
