"""The fake GitHub of the marketplace's tests, for those that kill."""

from tests.marketplace.conftest import github, one_github

__all__ = ["github", "one_github"]
