"""Settings, read from the environment.

``make run`` writes the environment of its stack to ``$DATA_DIR/stack.env``; a command run beside it with the
same ``DATA_DIR`` reads that file and so reaches the same database. What is set in the environment wins.
On real servers there is no such file, and what is missing stops the start with a message that names all of it.
"""

import os
import re
from email.utils import formataddr, quote
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from csp.constants import NONE, SELF
from django.utils.translation import gettext_lazy as _

from accounts.branding import brand
from accounts.elsewhere import store as remote_stores
from accounts.outgoing import signing
from config import mail_provider, media, sentry
from config.environment import Environment

BASE_DIR = Path(__file__).resolve().parent.parent

DATA_DIR = Path(os.environ.get("DATA_DIR") or BASE_DIR / "var").resolve()
env = Environment(DATA_DIR / "stack.env")

DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = env.needed("SECRET_KEY")
SITE_URL = env.str("SITE_URL", default="http://127.0.0.1:8000").rstrip("/")
ALLOWED_HOSTS = env.listed("ALLOWED_HOSTS", default=["127.0.0.1", "localhost"])
#: Lets `sweep --at` act as of a future instant. For demonstrations only.
ALLOW_TIME_TRAVEL = env.bool("ALLOW_TIME_TRAVEL", default=False)
#: Bearer tokens of the product's own servers, comma-separated so that one can be rotated.
API_TOKENS = env.secrets("API_TOKENS")
#: What Prometheus sends as a bearer token to `/metrics`; several, comma-separated, during a rotation.
METRICS_TOKEN = env.secrets("METRICS_TOKEN")

# The brand: in whose name pages and mails speak (`accounts.branding.brand`). Without settings the demo's; a real server
# that has none speaks in the name of its host, never in the demo's.

_host = urlsplit(SITE_URL).hostname or "localhost"
_is_real = SITE_URL.startswith("https://")
BRAND_NAME = env.one_line("BRAND_NAME", default=_host if _is_real else "Blueprints", limit=brand.MAX_NAME)
BRAND_URL = env.web_address("BRAND_URL", default=SITE_URL)
BRAND_COLOUR = (env.str("BRAND_COLOUR", default="").strip() or "#0b5c74").lower()
if _problem := brand.colour_problem(BRAND_COLOUR):
    env.check(False, _problem)
#: Where people write who can't sign in, and where answers to our mails go.
SUPPORT_EMAIL = env.mail_address("SUPPORT_EMAIL", default=f"support@{_host if _is_real else 'blueprints.example'}")
#: Where people buy, or come back: pages and mails that speak of subscribing again lead there. Empty: they do not.
BUY_URL = env.web_address("BUY_URL")

#: The vendor's own billing: where it is asked to stop a charge, or to let it go on (`subscriptions.billing.vendor`).
BILLING_ENDPOINT = env.web_address("BILLING_ENDPOINT")
env.check(
    not (_is_real and BILLING_ENDPOINT.startswith("http://")),
    "BILLING_ENDPOINT must be an https:// address: what is asked there ends what customers pay for.",
)
#: What those requests are signed with, as Standard Webhooks writes it; several, comma-separated, during a rotation.
BILLING_ENDPOINT_SECRETS = env.secrets("BILLING_ENDPOINT_SECRETS", needed=bool(BILLING_ENDPOINT))
env.check(
    all(signing.is_secret(secret) for secret in BILLING_ENDPOINT_SECRETS),
    "BILLING_ENDPOINT_SECRETS must be `whsec_` and 24 to 64 random bytes in base64.",
)

#: Networks that calls to addresses which people typed may lead to, beside the public ones: where the vendor's own
#: product is, as a rule. Plain http is for them alone.
OUTGOING_ALLOWED_NETWORKS = env.networks("OUTGOING_ALLOWED_NETWORKS")
#: Certificates (PEM) of authorities of the operator's own, which vouch for servers in those networks.
OUTGOING_CA_FILE = env.str("OUTGOING_CA_FILE", default="")
env.check(
    not OUTGOING_CA_FILE or Path(OUTGOING_CA_FILE).is_file(),
    f"OUTGOING_CA_FILE: there is no file {OUTGOING_CA_FILE}.",
)

#: Keys that encrypt tokens at rest; the first one encrypts, all decrypt, so that one can be rotated.
FIELD_ENCRYPTION_KEYS = env.secrets("FIELD_ENCRYPTION_KEYS", needed=True)

# GitHub Marketplace. Nothing of it is needed where nothing is sold there. With secrets and without credentials the
# webhook works, and `/readyz/` says what can't be confirmed; with credentials and without secrets nobody could tell us.

GITHUB_API_URL = env.str("GITHUB_API_URL", default="https://api.github.com").rstrip("/")
GITHUB_WEB_URL = env.str("GITHUB_WEB_URL", default="https://github.com").rstrip("/")
GITHUB_CLIENT_ID = env.str("GITHUB_CLIENT_ID", default="")
GITHUB_CLIENT_SECRET = env.str("GITHUB_CLIENT_SECRET", default="")
GITHUB_APP_ID = env.str("GITHUB_APP_ID", default="")
GITHUB_PRIVATE_KEY = env.str("GITHUB_PRIVATE_KEY", default="", multiline=True)
GITHUB_LISTING_SLUG = env.str("GITHUB_LISTING_SLUG", default="")
GITHUB_WEBHOOK_SECRETS = env.secrets(
    "GITHUB_WEBHOOK_SECRETS", needed=bool(GITHUB_APP_ID or GITHUB_CLIENT_ID or GITHUB_LISTING_SLUG)
)
#: `offboard` (deactivate, purge within 30 days) or `downgrade` (Free at once; docs/github-marketplace.md).
GITHUB_CANCELLATION = env.str("GITHUB_CANCELLATION", default="offboard")
env.check(GITHUB_CANCELLATION in ("offboard", "downgrade"), "GITHUB_CANCELLATION must be `offboard` or `downgrade`.")
#: The secrets of a draft listing, if its hook comes here, too: what they sign is stored and never applied.
GITHUB_DRAFT_WEBHOOK_SECRETS = env.secrets("GITHUB_DRAFT_WEBHOOK_SECRETS")
env.check(
    not {*GITHUB_WEBHOOK_SECRETS} & {*GITHUB_DRAFT_WEBHOOK_SECRETS},
    "GITHUB_WEBHOOK_SECRETS and GITHUB_DRAFT_WEBHOOK_SECRETS share a secret: a secret belongs to one listing, or "
    "the draft's test purchases would be taken for real ones.",
)
#: GitHub asks for a second between calls that change something.
GITHUB_MUTATION_PAUSE = env.float("GITHUB_MUTATION_PAUSE", default=1.0)

# boto3 finds its credentials in the environment by itself; where they are in files it is told.
env.passed_on("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")

# AWS Marketplace. Nothing of it is needed where nothing is sold there: a door without its setting stays closed.

AWS_REGION = env.str("AWS_REGION", default="us-east-1")
#: Another address for all calls to AWS: for tests and demonstrations.
AWS_ENDPOINT_URL = env.str("AWS_ENDPOINT_URL", default="").rstrip("/")
#: The codes of our products at AWS Marketplace.
AWS_PRODUCT_CODES = env.listed("AWS_PRODUCT_CODES")
#: The ids of the same products (`prod-…`), by which EventBridge's events name them.
AWS_PRODUCT_IDS = env.listed("AWS_PRODUCT_IDS")
#: The AWS accounts that sell them: whose events are ours, and who proposes our agreements. One, as a rule.
AWS_SELLER_ACCOUNT_IDS = env.listed("AWS_SELLER_ACCOUNT_IDS")
for _account in AWS_SELLER_ACCOUNT_IDS:
    env.check(
        re.fullmatch(r"[0-9]{12}", _account),
        f"AWS_SELLER_ACCOUNT_IDS: {_account!r} is not the number of an AWS account.",
    )
#: The topics that AWS told us at product creation, exactly. Messages of any other are refused.
AWS_SNS_TOPIC_ARNS = env.listed("AWS_SNS_TOPIC_ARNS")
for _arn in AWS_SNS_TOPIC_ARNS:
    env.check(
        re.fullmatch(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_.-]{1,256}", _arn),
        f"AWS_SNS_TOPIC_ARNS: {_arn!r} is not the ARN of an SNS topic.",
    )
#: Hosts that serve the certificates of SNS; `{region}` is the topic's. The sovereign cloud has hosts of its own.
AWS_SNS_HOSTS = env.listed("AWS_SNS_HOSTS", default=["sns.{region}.amazonaws.com", "sns.{region}.amazonaws.com.cn"])
env.check(
    AWS_SNS_HOSTS and all(re.fullmatch(r"sns\.\{region\}(\.[a-z0-9-]+)+", host) for host in AWS_SNS_HOSTS),
    "AWS_SNS_HOSTS must be host names that begin with `sns.{region}.`.",
)
#: Certificates (PEM) from which the chain of SNS's certificate must be complete (docs/aws-marketplace.md).
AWS_SNS_TRUST_FILE = env.str("AWS_SNS_TRUST_FILE", default="")
env.check(
    not AWS_SNS_TRUST_FILE or Path(AWS_SNS_TRUST_FILE).is_file(),
    f"AWS_SNS_TRUST_FILE: there is no file {AWS_SNS_TRUST_FILE}.",
)
#: Where certificates are fetched instead of the address in the message, which is checked all the same. For tests.
AWS_SNS_CERTIFICATE_URL = env.str("AWS_SNS_CERTIFICATE_URL", default="").rstrip("/")
env.check(
    not (AWS_SNS_CERTIFICATE_URL and SITE_URL.startswith("https://")),
    "AWS_SNS_CERTIFICATE_URL is for tests and demonstrations: remove it from a real server.",
)
#: Whether a topic that asks for it is confirmed, by the API. Until then `/readyz/` says that one is waiting.
AWS_SNS_CONFIRM_SUBSCRIPTIONS = env.bool("AWS_SNS_CONFIRM_SUBSCRIPTIONS", default=False)
#: What EventBridge's connection sends in `X-Api-Key`; several, comma-separated, during a rotation.
AWS_EVENTS_TOKEN = env.secrets("AWS_EVENTS_TOKEN")

# Stripe. Nothing of it is needed where it takes no money.

#: A restricted key (`rk_…`), or a whole one.
STRIPE_API_KEY = env.str("STRIPE_API_KEY", default="").strip()
#: Another address for all calls to Stripe: for tests and demonstrations.
STRIPE_API_URL = env.web_address("STRIPE_API_URL", default="https://api.stripe.com").rstrip("/")
#: The origins of Checkout and of the customer portal, if they have domains of the vendor's own.
STRIPE_PAGES = env.listed("STRIPE_PAGES")
env.check(
    all(page.startswith(("https://", "http://")) and page.count("/") == 2 for page in STRIPE_PAGES),
    "STRIPE_PAGES must be origins such as https://pay.example.com, comma-separated.",
)
#: Calls a second, of all processes together. 0: what Stripe allows by itself, 100 in live mode and 25 in a sandbox.
STRIPE_CALLS_A_SECOND = env.float("STRIPE_CALLS_A_SECOND", default=0.0)
env.check(STRIPE_CALLS_A_SECOND >= 0, "STRIPE_CALLS_A_SECOND must not be negative.")
#: Whether it is about real money: by the key, unless said. What is of the other mode is stored, and never applied.
STRIPE_LIVEMODE = env.bool("STRIPE_LIVEMODE", default="_test_" not in STRIPE_API_KEY)
env.check(
    not STRIPE_API_KEY or f"_{'live' if STRIPE_LIVEMODE else 'test'}_" in STRIPE_API_KEY,
    "STRIPE_API_KEY and STRIPE_LIVEMODE disagree: a key of live mode has `_live_` in it, one of a sandbox `_test_`.",
)
#: What our endpoint's messages are signed with (`whsec_…`); several, comma-separated, while one is rolled.
STRIPE_WEBHOOK_SECRETS = env.secrets("STRIPE_WEBHOOK_SECRETS", needed=bool(STRIPE_API_KEY))
#: What becomes of an erased account's customer at Stripe (docs/stripe.md).
STRIPE_FORGET = env.str("STRIPE_FORGET", default="detach").strip()
env.check(STRIPE_FORGET in ("detach", "delete", "redact"), "STRIPE_FORGET must be `detach`, `delete` or `redact`.")

#: A delivery's raw body is kept for so many days, and never beyond the purge of its account.
DELIVERY_BODY_DAYS = env.int("DELIVERY_BODY_DAYS", default=90)
#: A purge starts so many hours before its legal deadline, to be finished within it.
PURGE_LEAD_HOURS = env.int("PURGE_LEAD_HOURS", default=12)
#: Whether what our systems call an erased account is kept with the record of its erasing, so that others can be asked
#: again by it. Off, unless those ids tell nothing about a person (docs/stores-elsewhere.md).
ERASURE_LOG_EXTERNAL_IDS = env.bool("ERASURE_LOG_EXTERNAL_IDS", default=False)

#: Other systems that hold data of our accounts, and are asked to erase it: JSON (`accounts.elsewhere.store`).
REMOTE_STORES, _faults = remote_stores.of_setting(env.str("REMOTE_STORES", default=""), https=_is_real)
for _fault in _faults:
    env.check(False, _fault)

#: A refund of more than so many cents is approved by a second person.
REFUND_LIMIT_CENTS = env.int("REFUND_LIMIT_CENTS", default=50_000)

#: The Django apps of what is being sold, by their module's name (docs/your-own-product.md). Empty: Offboard runs bare.
PRODUCT_APPS = env.listed("PRODUCT_APPS", default=["accounts.blueprints"])
#: What a product in another process sells and what is lost with it: a file (`accounts.customers.product_file`).
PRODUCT_FILE = env.str("PRODUCT_FILE", default="")

INSTALLED_APPS = [
    "config.apps.OffboardAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.staticfiles",
    # The product first: in an export what customers made comes before what we know of them.
    *PRODUCT_APPS,
    "accounts",
    "subscriptions",
    "marketplace",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.github",
    "csp",
    "pgtrigger",
]

MIDDLEWARE = [
    "accounts.core.log_context.RequestIdMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "config.malformed.MalformedRequestMiddleware",
    "config.opening.OpeningMiddleware",
    "accounts.inbox.middleware.DoorsMiddleware",
    "accounts.api.middleware.ApiMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "accounts.middleware.NoStoreMiddleware",
    "accounts.middleware.PreferencesMiddleware",
    "accounts.middleware.OftenMiddleware",
    "accounts.middleware.CurrentAccountMiddleware",
    "accounts.middleware.RefusalMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "accounts.context_processors.deletion_banner",
                "accounts.context_processors.navigation",
                "accounts.context_processors.carried",
                "accounts.context_processors.brand",
                "subscriptions.context_processors.ending_banner",
                "subscriptions.context_processors.shop",
            ],
        },
    }
]

# The database. Connections are pooled: opening one a request makes it two to three times as slow (`make bench`).

_database = env.db_url("DATABASE_URL", default=f"postgres:///offboard?host={DATA_DIR / 'sockets'}")
_database["CONN_MAX_AGE"] = 0  # the pool keeps the connections
# A connection is tried before it is handed out: after the database was away, dead ones are replaced, not met.
_database["CONN_HEALTH_CHECKS"] = True
#: Who has not answered for about this many seconds is gone. Without it a machine that is cut off in the middle of a
#: transaction would hold its locks for two hours, and would itself wait for a quarter of one. A Unix socket has none.
GONE_SECONDS = 10
_alive = {"keepalives_idle": GONE_SECONDS // 2, "keepalives_interval": 2, "keepalives_count": 3}
_database["OPTIONS"] = {
    **_alive,
    "tcp_user_timeout": GONE_SECONDS * 1000,
    **_database.get("OPTIONS", {}),
    "connect_timeout": 3,
}
#: DATABASE_URL leads to a PgBouncer that pools transactions (docs/operating.md): nothing may be left in a session then.
PGBOUNCER = env.bool("PGBOUNCER", default=False)
if PGBOUNCER:
    # A thread keeps its connection to PgBouncer, which is cheap there, for so many seconds.
    _database["CONN_MAX_AGE"] = 600
    _database["DISABLE_SERVER_SIDE_CURSORS"] = True
else:
    # The same for the server's side of the connection. PgBouncer has settings of its own for it.
    _database["OPTIONS"]["options"] = " ".join(
        [
            *(f"-c tcp_{name}={value}" for name, value in _alive.items()),
            f"-c tcp_user_timeout={GONE_SECONDS * 1000}",
            _database["OPTIONS"].get("options", ""),
        ]
    ).strip()
    # One connection a thread of the web server, and a few to spare. The time-out turns an absent database
    # into a fast 503 instead of a hung request.
    _database["OPTIONS"]["pool"] = {"min_size": 1, "max_size": 12, "timeout": 3}
DATABASES = {"default": _database}
#: PostgreSQL itself, past a PgBouncer: for `migrate`, `backup` and `restore`, which need a session of their own.
DATABASE_DIRECT_URL = env.str("DATABASE_DIRECT_URL", default="")
env.check(
    not PGBOUNCER or DATABASE_DIRECT_URL,
    "PGBOUNCER is on and DATABASE_DIRECT_URL is not set: `migrate` and `backup` need a connection past PgBouncer.",
)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

#: Threads of a web process in which Django works (`config.server`). A page is mostly waiting for the database; with
#: four a slow one holds up nobody, and each finds a connection in the pool.
WEB_THREADS = env.int("WEB_THREADS", default=4)

# Redis: broker and cache. Both may be away: nothing is lost, work is only done later.

REDIS_URL = env.str("REDIS_URL", default="redis://127.0.0.1:6379/0")
CACHES = {
    "default": {
        "BACKEND": "config.cache.Cache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "offboard",
        "OPTIONS": {
            "SOCKET_CONNECT_TIMEOUT": 1,
            "SOCKET_TIMEOUT": 1,
        },
    }
}

# Of a socket both the scheme and the number of the database have other names there.
CELERY_BROKER_URL = REDIS_URL.replace("unix://", "redis+socket://", 1).replace("?db=", "?virtual_host=", 1)
# Without these a silent Redis blocks a publisher for more than 90 s.
CELERY_BROKER_TRANSPORT_OPTIONS = {"socket_timeout": 1, "socket_connect_timeout": 1}
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1, "interval_start": 0}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
#: Two queues, each with workers of its own (`accounts.jobs.queues`); each sweep says which is its own.
CELERY_TASK_DEFAULT_QUEUE = "now"
CELERY_TASK_ROUTES = ("accounts.jobs.sweeps.route",)
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = True
#: Told to stop, a worker ends what it is at within so many seconds. What is cut off is done again; this saves repeats.
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 20
CELERY_TIMEZONE = "UTC"


def beat(name: str, *, seconds: int) -> dict[str, object]:
    """A sweep every so many seconds. A message that nobody fetched in time is dropped: the next one says the same."""
    return {"task": "accounts.sweep", "args": [name], "schedule": seconds, "options": {"expires": seconds}}


CELERY_BEAT_SCHEDULE = {
    "settle": beat("settle", seconds=60),
    "wishes": beat("wishes", seconds=5),
    "refunds": beat("refunds", seconds=30),
    "remind": beat("remind", seconds=300),
    "reprice": beat("reprice", seconds=300),
    "purchases": beat("purchases", seconds=60),
    "notices": beat("notices", seconds=10),
    "deliveries": beat("deliveries", seconds=5),
    "events": beat("events", seconds=5),
    "aws-confirm": beat("aws-confirm", seconds=60),
    "aws-check": beat("aws-check", seconds=30),
    "aws-reconcile": beat("aws-reconcile", seconds=3 * 3600),
    "github-check": beat("github-check", seconds=30),
    "offboard": beat("offboard", seconds=30),
    "export": beat("export", seconds=20),
    "export-elsewhere": beat("export-elsewhere", seconds=30),
    "bulk": beat("bulk", seconds=5),
    "purge": beat("purge", seconds=60),
    "last-mail": beat("last-mail", seconds=60),
    "elsewhere": beat("elsewhere", seconds=10),
    "stripe-forget": beat("stripe-forget", seconds=60),
    "hygiene": beat("hygiene", seconds=86_400),
    "invitations": beat("invitations", seconds=86_400),
    "sessions": beat("sessions", seconds=86_400),
    "api-calls": beat("api-calls", seconds=86_400),
    "retention": beat("retention", seconds=86_400),
    "github-reconcile": beat("github-reconcile", seconds=3600),
    "stripe-check": beat("stripe-check", seconds=5),
    "stripe-reconcile": beat("stripe-reconcile", seconds=24 * 3600),
}

# People: sign-in by e-mail through django-allauth.

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
#: Who may become a customer by themselves: nobody (`invitation`: by one, or by a purchase), or everybody (`open`).
SIGN_UP = env.str("SIGN_UP", default="invitation")
env.check(SIGN_UP in ("invitation", "open"), "SIGN_UP must be `invitation` or `open`.")
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
ACCOUNT_ADAPTER = "accounts.signing_in.sign_in.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
# An address counts once it is proven, and is changed by proving the new one; the old one is told.
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_CHANGE_EMAIL = True
ACCOUNT_EMAIL_NOTIFICATIONS = True
# What changes the way in asks for the password again (`accounts.signing_in.fresh_proof`; it guards connections, too).
ACCOUNT_REAUTHENTICATION_REQUIRED = True
SOCIALACCOUNT_REAUTHENTICATION_REQUIRED = False
ACCOUNT_FORMS = {
    "login": "accounts.signing_in.sign_in_form.SignInForm",
    "change_password": "accounts.signing_in.sign_in_form.PasswordChangeForm",
    "set_password": "accounts.signing_in.sign_in_form.PasswordSetForm",
    "reauthenticate": "accounts.signing_in.sign_in_form.PasswordAgainForm",
    "add_email": "accounts.signing_in.sign_in_form.NewAddressForm",
    "reset_password": "accounts.signing_in.password_reset.ResetPasswordForm",
    "reset_password_from_key": "accounts.signing_in.password_reset.ResetPasswordKeyForm",
}
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
# Whom we do not know we write no mails: anybody could have them sent, and there is nothing to sign up to.
ACCOUNT_EMAIL_UNKNOWN_ACCOUNTS = False
# Both send mails to addresses that somebody types. The rest is as allauth has it.
ACCOUNT_RATE_LIMITS = {"manage_email": "5/h/user", "reset_password": "20/m/ip,5/h/key"}
ACCOUNT_LOGOUT_REDIRECT_URL = "account_login"
ACCOUNT_SESSION_REMEMBER = True
SOCIALACCOUNT_ADAPTER = "marketplace.github.sign_in.SocialAdapter"
# allauth would keep tokens as plain text; `marketplace.github.tokens` keeps them encrypted.
SOCIALACCOUNT_STORE_TOKENS = False
SOCIALACCOUNT_PROVIDERS: dict[str, dict[str, Any]] = {
    "github": {"SCOPE": env.listed("GITHUB_SCOPES", default=["user:email"])}
}
if GITHUB_CLIENT_ID:
    SOCIALACCOUNT_PROVIDERS["github"]["APPS"] = [{"client_id": GITHUB_CLIENT_ID, "secret": GITHUB_CLIENT_SECRET}]
if GITHUB_WEB_URL != "https://github.com":
    SOCIALACCOUNT_PROVIDERS["github"]["GITHUB_URL"] = GITHUB_WEB_URL
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes"]
# The second factor proves the person; whether a mail address was clicked on has nothing to do with it.
MFA_ALLOW_UNVERIFIED_EMAIL = True
MFA_FORMS = {
    "authenticate": "accounts.signing_in.second_factor_forms.CodeForm",
    "reauthenticate": "accounts.signing_in.second_factor_forms.CodeAgainForm",
    "activate_totp": "accounts.signing_in.second_factor_forms.FirstCodeForm",
}
MFA_ADAPTER = "accounts.signing_in.second_factor.SecondFactorAdapter"
#: Whether the support desk asks for a second factor. Off in `make run` alone, so that the demo sign-ins get in.
STAFF_SECOND_FACTOR = env.bool("STAFF_SECOND_FACTOR", default=True)

#: Keys hashed, contents encrypted, found by person (`accounts.signing_in.session`).
SESSION_ENGINE = "accounts.signing_in.session"

# Languages and formats.

LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English")), ("fr", _("French"))]
LOCALE_PATHS = [BASE_DIR / "locale"]
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True

# Files.

STATIC_URL = "static/"
#: Where `collectstatic` puts them. An image has them in itself, outside of its volume.
STATIC_ROOT = Path(env.str("STATIC_ROOT", default="") or DATA_DIR / "static")
STATICFILES_DIRS = [BASE_DIR / "static"]
MEDIA_ROOT = DATA_DIR / "media"
STORAGES = {
    "default": media.storage(env),
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}

# Mail. `filemail:///folder` writes a file a mail, named by its Message-ID.

#: A mail server that does not answer within this many seconds is tried again later.
EMAIL_TIMEOUT = 10
_files = f"filemail://{DATA_DIR / 'mail'}"
_provider = mail_provider.provider(env, timeout=EMAIL_TIMEOUT)
_email = env.email_url_config(_files) if mail_provider.is_named(env) else env.email_url("EMAIL_URL", default=_files)
EMAIL_BACKEND = _email["EMAIL_BACKEND"]
EMAIL_HOST = _email["EMAIL_HOST"]
EMAIL_PORT = _email["EMAIL_PORT"]
EMAIL_HOST_USER = _email["EMAIL_HOST_USER"]
EMAIL_HOST_PASSWORD = _email["EMAIL_HOST_PASSWORD"]
EMAIL_USE_TLS = _email.get("EMAIL_USE_TLS", False)
EMAIL_USE_SSL = _email.get("EMAIL_USE_SSL", False)
if EMAIL_BACKEND == "django.core.mail.backends.filebased.EmailBackend":
    EMAIL_BACKEND = "config.mail.FolderBackend"
    EMAIL_FILE_PATH = "/" + _email["EMAIL_FILE_PATH"].lstrip("/")
if _provider:
    EMAIL_BACKEND, ANYMAIL = _provider
#: `Name <address>`. A name with letters beyond ASCII stays as it is; Django encodes it in the mail's head.
_no_reply = f"no-reply@{SUPPORT_EMAIL.rpartition('@')[2]}"
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="") or (
    formataddr((BRAND_NAME, _no_reply)) if BRAND_NAME.isascii() else f'"{quote(BRAND_NAME)}" <{_no_reply}>'
)
SERVER_EMAIL = DEFAULT_FROM_EMAIL

# Security. Everything that needs https follows from SITE_URL, so that the demo runs on plain http.

_secure = urlsplit(SITE_URL).scheme == "https"
SECURE_SSL_REDIRECT = _secure
SECURE_REDIRECT_EXEMPT = [r"^healthz/$", r"^readyz/$", r"^metrics$"]
BEHIND_PROXY = env.bool("BEHIND_PROXY", default=False)
#: How many proxies of ours stand in front, each adding an entry to `X-Forwarded-For` (`accounts.core.client_address`).
TRUSTED_PROXIES = env.int("TRUSTED_PROXIES", default=int(BEHIND_PROXY))
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if BEHIND_PROXY else None
SECURE_HSTS_SECONDS = 31_536_000 if _secure else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = _secure
SECURE_HSTS_PRELOAD = _secure
SESSION_COOKIE_SECURE = _secure
CSRF_COOKIE_SECURE = _secure
SESSION_COOKIE_HTTPONLY = True
CSRF_COOKIE_HTTPONLY = True
CSRF_TRUSTED_ORIGINS = [SITE_URL]
CSRF_FAILURE_VIEW = "accounts.views.errors.csrf_failure"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "style-src": [SELF],
        "script-src": [SELF],
        # allauth shows the second factor's QR code as a data: image.
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        # Signing in with GitHub begins with a form that is answered by a redirect there.
        "form-action": [SELF, GITHUB_WEB_URL],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}
#: Forms that one person may send within a minute, staff aside; each may be a row, a line of history and a mail.
POSTS_A_MINUTE = env.int("POSTS_A_MINUTE", default=60)
#: Calls of the API that one token may make within a minute.
API_CALLS_A_MINUTE = env.int("API_CALLS_A_MINUTE", default=1200)
#: A page's form is small; larger bodies have views with limits of their own.
DATA_UPLOAD_MAX_MEMORY_SIZE = 1_048_576
#: No page takes files, so none is written to a temporary folder.
FILE_UPLOAD_HANDLERS = ["accounts.core.uploads.NoUploads"]

#: `line` for people, `json` for a collector of logs.
LOG_FORMAT = env.str("LOG_FORMAT", default="line")
env.check(LOG_FORMAT in ("line", "json"), "LOG_FORMAT must be `line` or `json`.")

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"about": {"()": "accounts.core.log_context.ContextFilter"}},
    "formatters": {"line": {"()": "config.logs.LogLine"}, "json": {"()": "config.logs.JsonLine"}},
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": LOG_FORMAT if LOG_FORMAT == "json" else "line",
            "filters": ["about"],
        }
    },
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="INFO")},
    "loggers": {
        "django": {"handlers": ["console"], "level": "INFO", "propagate": False},
        # Who asks under a name that is not ours is told so (400). With tracebacks strangers would write our log.
        "django.security.DisallowedHost": {"level": "CRITICAL"},
        # A line a call would drown the rest.
        "httpx": {"level": "WARNING"},
        # Neither would say more than the error that is raised; below `INFO` it would log requests with their tokens.
        "botocore": {"level": "WARNING"},
        "stripe": {"level": "WARNING"},
    },
}

#: Where errors are told of (`config.sentry`). Empty: nowhere but in the log.
SENTRY_DSN = env.str("SENTRY_DSN", default="")
if SENTRY_DSN:
    _problem = sentry.start(SENTRY_DSN, environment=_host)
    env.check(not _problem, _problem)

env.stop_if_wrong()
