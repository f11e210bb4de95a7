"""Carrying out offboarding steps: the `offboard` sweep.

Steps are due work (`accounts.jobs.due_work`), carried out without a transaction around their calls. A step that can't
be done, for whatever reason, backs off and is tried again until its limit; then it gives up, says what is left for
staff, and lets the next one go on. What a step does to the outside is noted thing by thing, so that a killed worker's
successor goes on where it stopped, and one thing that fails holds up no other.
"""

import time
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Literal

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils.translation import gettext_lazy as _

from accounts.core.encryption import Undecipherable, decrypt
from accounts.core.errors import describe, storable
from accounts.core.refusal import Refused
from accounts.customers.history import Actor
from accounts.erasure.purge import Purge
from accounts.jobs import invariants, sweeps
from accounts.jobs.due_work import MORE, NotYet, Turn, overdue, run_due
from accounts.jobs.queues import Queue
from accounts.models import Account
from marketplace.github import checks, client
from marketplace.github.customer import GitHubCustomer
from marketplace.github.repository_hooks import RepositoryHook
from marketplace.github.tokens import UserToken
from marketplace.offboarding.offboarding import Offboarding, OffboardingStep, StepKind

#: A run of the sweep ends after this long; the next one goes on.
RUN = timedelta(minutes=1)
#: A step works for at most this long at a time, and then for one call more: far below its lease.
TURN = timedelta(minutes=1)
#: So often a refused hook is tried, in case the refusal was a mistake; asking on for hours would be one of ours.
PERMISSION_TRIES = 3


class OutOfTime(Exception):
    """There is more to do than fits into a turn."""


class NotToBeSkipped(Refused):
    text = _("The erasing can't be skipped. Set a hold, if there is a reason to wait.")


def preview(at: datetime) -> Iterator[str]:
    """Which steps `carry_out_due` would try at `at`, a line each."""
    for step in OffboardingStep.objects.due(at).select_related("offboarding").iterator():
        yield f"{step.offboarding.account_id}: {step.kind}, deadline {step.offboarding.deadline_at:%Y-%m-%d %H:%M}Z"


def carry_out_due(at: datetime) -> int:
    """Try every step that is due at `at`. Returns how many were done."""
    return run_due(OffboardingStep.objects.select_related("offboarding").due, carry_out, at=at, run=RUN)


def carry_out(step: OffboardingStep, at: datetime) -> bool | Literal[Turn.MORE]:
    """Try one step. Returns whether it is done, or that it has more to do than fits into a turn. Raises `NotYet`."""
    try:
        remark = _WORK[StepKind(step.kind)](step, at)
    except OutOfTime:
        return MORE
    except client.GitHubLimited as limit:
        raise NotYet(str(limit), until=limit.until, counts=False) from limit
    except client.GitHubError as error:
        raise NotYet(str(error)) from error
    return step.finish(remark, at=at, by=Actor.system())


def retry(step: OffboardingStep, *, at: datetime) -> bool:
    """Have an undone step tried with the next run, instead of when its back-off says. Returns whether it was undone."""
    return bool(OffboardingStep.objects.undone().filter(pk=step.pk).update(next_attempt_at=at))


def skip(step: OffboardingStep, *, because: str, by: Actor, at: datetime) -> bool:
    """Have a step count as done though it is not, and the next one go on. Returns whether anything changed.

    Raises `NotToBeSkipped` for the erasing of data: that ends by its proof alone.
    """
    if step.kind == StepKind.PURGE:
        raise NotToBeSkipped
    return step.finish(f"skipped: {because}", at=at, by=by)


def _confirm(step: OffboardingStep, at: datetime) -> str:
    """Ask GitHub whether the customer is really gone. If not, the answer itself calls the offboarding off."""
    customer = GitHubCustomer.objects.filter(account_id=step.offboarding.account_id).first()
    if customer is None:
        return "the customer is no longer known"
    if not client.is_configured():
        return "not confirmed: no credentials are configured"
    answer = client.get_account(customer.github_id, at=at)
    with transaction.atomic():
        checks.apply_answer(customer.github_id, answer, at)
    if answer is not None:
        raise NotYet("GitHub says that the customer has an active plan", until=at + timedelta(minutes=11))
    return ""


def _delete_hooks(step: OffboardingStep, at: datetime) -> str:
    """Delete the hooks that we made, one after the other, a second apart, with a token that may."""
    account_id = step.offboarding.account_id
    tokens = {token.github_user_id: token for token in _tokens_of(account_id)}
    in_time = _until_the_turn_is_over()
    worth_trying_again = False
    for hook in RepositoryHook.objects.remaining().filter(account_id=account_id).order_by("pk"):
        worth_trying_again |= _delete_hook(hook, [*_own_first(hook, tokens)], at, in_time)
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
        access, refresh, expires_at = client.refresh(decrypt(token.refresh), at=at)
        token.renew(access=access, refresh=refresh, expires_at=expires_at)
    return token.text()


def _own_first(hook: RepositoryHook, tokens: dict[int, UserToken]) -> Iterator[UserToken]:
    """The token that made the hook, then the others of the account."""
    if hook.github_user_id in tokens:
        yield tokens[hook.github_user_id]
    yield from (token for user_id, token in tokens.items() if user_id != hook.github_user_id)


def _delete_hook(hook: RepositoryHook, tokens: list[UserToken], at: datetime, in_time: Callable[[], None]) -> bool:
    """Try the tokens in turn, and note on the hook how it went. Returns whether it is worth trying again.

    204 deletes. 404 means "gone" only to a token that sees the repository's hooks: GitHub says 404, too, to one that
    lacks the right. A token that is refused will be refused in an hour; an error of GitHub's may pass.
    """
    errors = [] if tokens else ["no token of this account is left"]
    may_pass = False
    for token in tokens:
        in_time()
        try:
            text = _text(token, at)
            status = client.delete_hook(hook.repository, hook.hook_id, text, at=at).status
            if status in (404, 410):
                status = 204 if client.sees_hooks(hook.repository, text, at=at) else 404
        except client.GitHubDenied as denied:
            status = denied.status
        except client.GitHubLimited:
            raise
        except Exception as error:
            # Whatever is wrong with one hook or token is noted on the hook, and never holds up the others.
            errors.append(f"{token.login}: {_in_words(error)}")
            may_pass = True
            continue
        finally:
            time.sleep(settings.GITHUB_MUTATION_PAUSE)
        if status == 204:
            hook.deleted_at, hook.last_error = at, ""
            hook.save(update_fields=["deleted_at", "last_error"])
            return False
        errors.append(f"{token.login}: {status}")
    hook.last_error = storable("; ".join(errors))[:300]
    hook.save(update_fields=["last_error"])
    return may_pass


def _revoke_tokens(step: OffboardingStep, at: datetime) -> str:
    """Revoke the tokens of the account's people, but for those that another account of theirs still needs.

    Each by itself: one that can't be revoked now keeps no other one alive.
    """
    in_time = _until_the_turn_is_over()
    kept = 0
    left = []
    for token in _tokens_of(step.offboarding.account_id):
        if _needed_elsewhere(token, step.offboarding.account_id):
            kept += 1
            continue
        in_time()
        try:
            if _revoke(token, at):
                token.forget(at)
            else:
                left.append(f"GitHub refuses to revoke the token of {token.github_user_id}, and still knows it")
        except client.GitHubLimited:
            raise
        except Exception as error:
            # As above: whatever is wrong with one token keeps no other one alive.
            left.append(f"the token of {token.github_user_id}: {_in_words(error)}")
        time.sleep(settings.GITHUB_MUTATION_PAUSE)
    if left:
        raise NotYet("; ".join(left))
    return f"{kept} kept for another account of the same person" if kept else ""


def _in_words(error: Exception) -> str:
    return str(error) if isinstance(error, client.GitHubError | Undecipherable) else describe(error)


def _until_the_turn_is_over() -> Callable[[], None]:
    """What a step calls before each thing that it does outside; raises `OutOfTime`."""
    stop = time.monotonic() + TURN.total_seconds()

    def in_time() -> None:
        if time.monotonic() >= stop:
            raise OutOfTime

    return in_time


def _revoke(token: UserToken, at: datetime) -> bool:
    """Whether nothing is left to revoke: the whole authorisation goes, or the token alone, or it was dead before."""
    try:
        text = _text(token, at)
    except client.GitHubDenied:
        # It has expired, and so has what could renew it.
        return True
    if client.revoke_grant(text, at=at).status == 204 or client.revoke_token(text, at=at).status == 204:
        return True
    # 404 and 422 mean unknown, but 422 also means "spammed": the check call tells (facts/github-marketplace, 4.1).
    return client.token_is_dead(text, at=at)


def _tokens_of(account_id: uuid.UUID) -> list[UserToken]:
    """Those of the account's people, and those that made its hooks: whoever has left since may be the only one who may.

    Who bought, handed the account over and went authorised us for it, and nothing else would end that authorisation.
    """
    of_people = Q(user__memberships__account_id=account_id)
    made = RepositoryHook.objects.filter(account_id=account_id, github_user_id__isnull=False)
    made_its_hooks = Q(github_user_id__in=made.values("github_user_id"))
    return list(UserToken.objects.alive().filter(of_people | made_its_hooks).distinct().order_by("pk"))


def _needed_elsewhere(token: UserToken, account_id: uuid.UUID) -> bool:
    """Whether another account works with it: one of the person's that has bought at GitHub, or one with hooks of its.

    An account that pays us directly has hooks, too, and those of one that the person has left still need it; revoking
    ends every authorisation of the person.
    """
    others = Account.objects.filter(deactivated_at=None, purging_at=None).exclude(pk=account_id)
    hooks = RepositoryHook.objects.remaining().filter(account=OuterRef("pk"))
    buys = Q(github_customer__isnull=False, github_customer__cancelled_at=None)
    of_the_person = others.filter(memberships__user_id=token.user_id).filter(buys | Exists(hooks))
    made_by_it = others.filter(Exists(hooks.filter(github_user_id=token.github_user_id)))
    return of_the_person.exists() or made_by_it.exists()


def _await_purge(step: OffboardingStep, at: datetime) -> str:
    """The purge runs by itself (`accounts.erasure.purge`); this step ends with its proof."""
    done = Purge.objects.of(step.offboarding.account_id).filter(verified_at__gte=step.offboarding.received_at)
    if done.exists():
        return ""
    raise NotYet("the purge is not verified yet", until=at + timedelta(minutes=5))


def _deactivate(step: OffboardingStep, at: datetime) -> str:
    """Done when the offboarding began, in its transaction."""
    return ""


_WORK: dict[StepKind, Callable[[OffboardingStep, datetime], str]] = {
    StepKind.DEACTIVATE: _deactivate,
    StepKind.CONFIRM: _confirm,
    StepKind.HOOKS: _delete_hooks,
    StepKind.TOKENS: _revoke_tokens,
    StepKind.PURGE: _await_purge,
}


SWEEP = sweeps.Sweep("offboard", run=carry_out_due, preview=preview, late_after=timedelta(minutes=20), queue=Queue.SLOW)

INVARIANTS = (
    overdue(
        OffboardingStep,
        "offboarding-step",
        _("offboarding steps still not done a day after the customer left"),
        shown_as="offboarding",
        listed_by="finished_at__isempty=1&called_off_at__isempty=1",
    ),
    invariants.Invariant(
        "offboarding-without-purge",
        _("open offboardings that nothing will finish: no erasing is scheduled for them"),
        lambda at: Offboarding.objects.open().without_purge(),
        listed_by="finished_at__isempty=1&called_off_at__isempty=1",
    ),
)
