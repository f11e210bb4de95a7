"""A person who can sign in."""

from datetime import tzinfo
from typing import ClassVar, Self

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _

from accounts.core import clock, foreign_input, time_zones
from accounts.core.external_ids import ExternalId
from accounts.core.search_fields import SearchWords, no_controls

MAX_PERSON_NAME = 150


def validate_time_zone(value: str) -> None:
    """Raise `ValidationError` unless `value` names a zone of the IANA database."""
    if not foreign_input.is_zone(value):
        raise ValidationError(_("“%(zone)s” is not a known time zone."), params={"zone": value}, code="invalid")


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: object) -> "User":
        """Create a person. The email is kept in lower case: sign-in does not tell `A@x` from `a@x`."""
        user = self.model(email=foreign_input.address_as_kept(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: object) -> "User":
        """Create a person who may do everything in the admin (`manage.py createsuperuser`)."""
        return self.create_user(email, password, **{"is_staff": True, "is_superuser": True, **fields})

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(email=foreign_input.address_as_kept(username or ""))


class User(AbstractBaseUser, PermissionsMixin):
    """A person. Belongs to any number of accounts; staff belong to none as a rule."""

    email = models.EmailField(_("email address"), unique=True)
    name = models.CharField(_("name"), max_length=MAX_PERSON_NAME, blank=True)
    #: By which staff find a person (`accounts.desk.account_page.search`).
    words = SearchWords(source="name")
    #: What the vendor's own systems call this person.
    external_id = ExternalId()
    language = models.CharField(
        _("language"), max_length=7, blank=True, choices=settings.LANGUAGES, help_text=_("Empty: as the browser asks.")
    )
    #: What the browser asked for at the last sign-in: the language of mails to people who chose none.
    browser_language = models.CharField(_("language of the browser"), max_length=7, blank=True, editable=False)
    time_zone = models.CharField(
        _("time zone"),
        max_length=64,
        blank=True,
        validators=[validate_time_zone],
        help_text=_("Empty: as the browser says."),
    )
    #: What the browser said last, where nothing is chosen. Empty: it never said.
    browser_time_zone = models.CharField(_("time zone of the browser"), max_length=64, blank=True, editable=False)
    is_staff = models.BooleanField(_("staff"), default=False)
    is_active = models.BooleanField(_("may sign in"), default=True)
    joined_at = models.DateTimeField(_("joined"), default=clock.now, editable=False)

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        verbose_name = _("person")
        verbose_name_plural = _("people")
        constraints = [
            models.CheckConstraint(condition=models.Q(email=Lower("email")), name="user_email_is_lower_case"),
            no_controls("name", name="user_name_is_one_line"),
            *ExternalId.rules("user"),
        ]
        indexes = [SearchWords.index("words", name="user_by_words")]

    def __str__(self) -> str:
        return self.name or self.email

    @property
    def zone(self) -> tzinfo:
        """In which this person reads times: what they chose, else what their browser said, else UTC."""
        return foreign_input.zone(self.time_zone or self.browser_time_zone)

    @property
    def has_zone(self) -> bool:
        """Whether `zone` is theirs: chosen, or told by the browser."""
        return bool(self.time_zone or self.browser_time_zone)

    @property
    def place(self) -> str:
        """Where `zone` is, as people call it."""
        return time_zones.place(str(self.zone))

    def note_browser_zone(self, zone: str, *, is_first_sign_in: bool = False) -> None:
        """Keep what their browser says of its time zone (`time_zones.told_by_browser`), for who chose none.

        UTC at the first sign-in is nobody's choice: it is what a system says that made this person and did not know.
        """
        changed = {"browser_time_zone": zone} if zone and zone != self.browser_time_zone else {}
        if zone and is_first_sign_in and self.time_zone == time_zones.UTC:
            changed["time_zone"] = ""
        if changed:
            for name, value in changed.items():
                setattr(self, name, value)
            self.save(update_fields=list(changed))

    @property
    def mail_language(self) -> str:
        """The language of mails to this person."""
        return self.language or self.browser_language or settings.LANGUAGE_CODE

    def get_short_name(self) -> str:
        """What the admin calls the person who has signed in."""
        return str(self)

    def clean(self) -> None:
        self.email = self.email.lower()

    def save(self, *args: object, **kwargs: object) -> None:
        self.email = self.email.lower()
        super().save(*args, **kwargs)  # type: ignore[arg-type]  # passed on as they came

    @classmethod
    def signed_in(cls, user: object) -> Self:
        """`request.user` as a `User`; the login middleware has already turned the anonymous away."""
        assert isinstance(user, cls)
        return user
