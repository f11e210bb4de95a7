"""What the app was granted: users' tokens, installations, repositories and the hooks in them."""

import base64
import functools
from collections.abc import Iterable
from datetime import timedelta
from typing import Literal

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.fakes.github.state import Account, Hook, Repository, Token, World

AppKind = Literal["oauth_app", "github_app"]

# Who may see and who may delete a repository's hooks; `write:repo_hook` may not delete.
SEES_HOOKS = ("read:repo_hook", "write:repo_hook", "admin:repo_hook", "repo", "public_repo")
DELETES_HOOKS = ("admin:repo_hook", "repo", "public_repo")
SCOPES = ("user:email", "admin:repo_hook")

# What GitHub gives a GitHub App: a token for 8 hours, and for half a year the means to renew it.
TOKEN_LIFE = timedelta(hours=8)
REFRESH_LIFE = timedelta(seconds=15_897_600)
# With more for the same person and scopes, an OAuth app's oldest dies.
MOST_TOKENS = 10


class Applications(World):
    client_id = "Iv1.0ff5e77b0a7d0000"
    client_secret = "a-client-secret-of-the-fake"
    app_id = 271_828
    # "github_app" gives out tokens that expire.
    app_kind: AppKind = "oauth_app"

    @property
    def private_key(self) -> str:
        """Of the GitHub App, PEM."""
        return _private_key()

    def clear(self) -> None:
        super().clear()
        self._tokens: list[Token] = []
        # The people who have the app among their authorised applications.
        self.grants: list[Account] = []
        self.repositories: list[Repository] = []
        # By the full name it once had, in small letters.
        self._moved: dict[str, Repository] = {}
        self._hooks: dict[int, Hook] = {}
        self.installations: dict[int, Account] = {}
        self._codes: dict[str, tuple[Account, tuple[str, ...]]] = {}
        # Who sits at the browser when the app sends it to /login/oauth/authorize; None: the page asks.
        self.signing_in: Account | None = None
        self.denies_sign_in = False
        # What DELETE …/token answers for a token it does not know. Undocumented: 422 is the only error listed.
        self.unknown_token_status: Literal[204, 404, 422] = 422
        # What a repository's old name answers.
        self.moved_status: Literal[301, 302, 307] = 301

    # Tokens

    def authorize(self, user: Account, scopes: Iterable[str] = SCOPES, *, expiring: bool | None = None) -> Token:
        """This person authorises the app: a token, which expires if the app is a GitHub App."""
        with self.lock:
            if user not in self.grants:
                self.grants.append(user)
            expiring = self.app_kind == "github_app" if expiring is None else expiring
            serial = self.number(0)
            token = Token(
                id=serial,
                value=f"{'ghu' if expiring else 'gho'}_{serial:036d}",
                user=user,
                scopes=() if expiring else tuple(scopes),
                created_at=self.now,
                refresh_token=f"ghr_{serial:076d}" if expiring else None,
                expires_at=self.now + TOKEN_LIFE if expiring else None,
                refresh_expires_at=self.now + REFRESH_LIFE if expiring else None,
            )
            alike = [known for known in self.tokens_of(user) if not expiring and known.scopes == token.scopes]
            for old in alike[: max(0, len(alike) + 1 - MOST_TOKENS)]:
                self._tokens.remove(old)
            self._tokens.append(token)
            return token

    @property
    def tokens(self) -> list[Token]:
        """Those that still open something."""
        return [token for token in self._tokens if not token.expires_at or token.expires_at > self.now]

    def tokens_of(self, user: Account) -> list[Token]:
        return [token for token in self.tokens if token.user is user]

    def token_of_value(self, value: object) -> Token | None:
        return next((token for token in self.tokens if token.value == value), None)

    def refresh(self, refresh_token: str) -> Token | None:
        """A new pair for an old one, once. None if it is used up, expired or unknown."""
        with self.lock:
            for old in self._tokens:
                if old.refresh_token == refresh_token and old.refresh_expires_at and old.refresh_expires_at > self.now:
                    self._tokens.remove(old)
                    return self.authorize(old.user, expiring=True)
        return None

    def revoke(self, token: Token) -> None:
        """The token dies: by the app, or because its owner did it."""
        with self.lock:
            if token in self._tokens:
                self._tokens.remove(token)

    def revoke_grant(self, user: Account) -> None:
        """The authorisation goes, and every token of that person for this app with it."""
        with self.lock:
            self._tokens = [token for token in self._tokens if token.user is not user]
            if user in self.grants:
                self.grants.remove(user)

    def code_for(self, user: Account, scopes: tuple[str, ...]) -> str:
        """What the browser takes back from /login/oauth/authorize; good for one token."""
        with self.lock:
            code = f"{self.number(0):020d}"
            self._codes[code] = (user, scopes)
            return code

    def redeem(self, code: str) -> Token | None:
        with self.lock:
            user_and_scopes = self._codes.pop(code, None)
            return self.authorize(*user_and_scopes) if user_and_scopes else None

    # Repositories and hooks

    def repository(self, full_name: str, *, admins: Iterable[Account] = ()) -> Repository:
        """A new repository, or the one of this name. An unknown owner becomes an organisation."""
        with self.lock:
            if known := self.repository_named(full_name):
                known.admins.extend(person for person in admins if person not in known.admins)
                return known
            login, name = full_name.split("/")
            owner = self.account(login, type="Organization")
            repository = Repository(id=self.number(500_000), owner=owner, name=name, admins=list(admins))
            self.repositories.append(repository)
            return repository

    def repository_named(self, full_name: str) -> Repository | None:
        return next((known for known in self.repositories if known.full_name.lower() == full_name.lower()), None)

    def moved_repository(self, full_name: str) -> Repository | None:
        """The repository that once had this name."""
        return self._moved.get(full_name.lower())

    def hook(
        self,
        repo: str,
        token: Token,
        *,
        url: str = "https://blueprints.example/hooks/",
        events: tuple[str, ...] = ("push",),
    ) -> int:
        """The app makes a hook with this token, whose owner becomes an admin of the repository. Returns its id."""
        with self.lock:
            if token not in self.tokens:
                raise ValueError("A dead token makes no hooks")
            repository = self.repository(repo, admins=[token.user])
            hook = Hook(id=self.number(109_000_000), repository=repository, url=url, events=events, created_at=self.now)
            self._hooks[hook.id] = hook
            return hook.id

    @property
    def hooks(self) -> list[int]:
        """The ids of those that are still there."""
        return list(self._hooks)

    def hooks_in(self, repository: Repository) -> list[Hook]:
        return [hook for hook in self._hooks.values() if hook.repository is repository]

    def delete_hook(self, hook_id: int) -> None:
        """Also what an owner of the repository does on its settings page."""
        self._hooks.pop(hook_id, None)

    def delete_repository(self, full_name: str) -> None:
        """With its hooks. What had another name before is gone under that name too."""
        with self.lock:
            repository = self._found(full_name)
            self.repositories.remove(repository)
            self._hooks = {id: hook for id, hook in self._hooks.items() if hook.repository is not repository}
            self._moved = {name: moved for name, moved in self._moved.items() if moved is not repository}

    def rename_repository(self, full_name: str, name: str) -> None:
        """The old name answers with a redirect from now on."""
        with self.lock:
            repository = self._found(full_name)
            self._moved[repository.full_name.lower()] = repository
            repository.name = name

    def rename(self, account: Account, login: str) -> None:
        """The login changes, the id stays. GitHub tells the Marketplace hook nothing."""
        with self.lock:
            for repository in self.repositories:
                if repository.owner is account:
                    self._moved[repository.full_name.lower()] = repository
            account.login = login

    # Installations

    def install(self, account: Account) -> int:
        with self.lock:
            installation_id = self.number(31_000_000)
            self.installations[installation_id] = account
            return installation_id

    def is_installed(self, account: Account) -> bool:
        return account in self.installations.values()

    def _found(self, full_name: str) -> Repository:
        if not (repository := self.repository_named(full_name)):
            raise ValueError(f"There is no repository {full_name}")
        return repository


def basic_authorization(client_id: str, client_secret: str) -> str:
    return f"Basic {base64.b64encode(f'{client_id}:{client_secret}'.encode()).decode()}"


@functools.cache
def _private_key() -> str:
    # Once for each process: making one takes a good part of a second.
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    ).decode()
