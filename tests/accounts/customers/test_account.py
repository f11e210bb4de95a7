"""What the database promises about customers and people."""

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from accounts.blueprints.models import Blueprint, CloudConnection
from accounts.models import Account, Membership, Role, User
from tests.factories import UserFactory


@pytest.mark.django_db
def test_an_account_has_no_second_owner(account: Account) -> None:
    with pytest.raises(IntegrityError, match="membership_one_owner"), transaction.atomic():
        Membership.objects.create(account=account, user=UserFactory(), role=Role.OWNER)


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_an_account_with_members_is_never_without_an_owner(account: Account, owner: User, admin: User) -> None:
    with pytest.raises(IntegrityError, match="would have members but no owner"), transaction.atomic():
        Membership.objects.filter(user=owner).delete()
    with pytest.raises(IntegrityError, match="would have members but no owner"), transaction.atomic():
        Membership.objects.filter(user=owner).update(role=Role.ADMIN)
    assert account.owner() == owner


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_ownership_is_handed_over_in_one_transaction(account: Account, owner: User, admin: User) -> None:
    with transaction.atomic():
        Membership.objects.filter(user=owner).update(role=Role.ADMIN)
        Membership.objects.filter(user=admin).update(role=Role.OWNER)
    assert account.owner() == admin


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_all_members_may_leave_together(account: Account, admin: User) -> None:
    account.memberships.all().delete()
    assert account.owner() is None


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("constraint", "model", "values"),
    [
        ("membership_role_is_known", Membership, {"role": "emperor"}),
        ("blueprint_grid_is_known", Blueprint, {"grid": "round"}),
        ("connection_provider_is_known", CloudConnection, {"provider": "abacus"}),
    ],
)
def test_the_database_refuses_unknown_words(
    account: Account, constraint: str, model: type, values: dict[str, str]
) -> None:
    if model is Membership:
        values = {**values, "user": UserFactory()}
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        model.objects.create(account=account, **values)  # type: ignore[attr-defined]


@pytest.mark.django_db
def test_an_address_is_one_person_however_it_is_written(owner: User) -> None:
    assert User.objects.create_user("New@Example.ORG").email == "new@example.org"
    with pytest.raises(IntegrityError, match="email"), transaction.atomic():
        User.objects.create_user("OWNER@example.org")
    with pytest.raises(IntegrityError, match="user_email_is_lower_case"), transaction.atomic():
        User.objects.filter(pk=owner.pk).update(email="OWNER@EXAMPLE.org")


@pytest.mark.django_db
def test_a_time_zone_that_does_not_exist_is_refused(owner: User) -> None:
    owner.time_zone = "Mars/Olympus_Mons"
    with pytest.raises(ValidationError, match="not a known time zone"):
        owner.full_clean()
