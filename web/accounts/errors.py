"""What may go wrong with an account. Each error holds the key of its text in `web.language` and the text's values."""

from __future__ import annotations


class AccountError(ValueError):
    """Something a person can put right; `key` and `values` are for `web.language.text`."""

    def __init__(self, key: str, **values: object) -> None:
        super().__init__(f"{key} {values}" if values else key)
        self.key = key
        self.values = values


class NameRefused(AccountError):
    """The name is taken, empty, too long or holds what a name may not hold."""


class PasswordRefused(AccountError):
    """The password breaks a rule."""


class SignInRefused(AccountError):
    """Name or password are wrong; which of them is not told."""


class TooManyAttempts(AccountError):
    """Guessing is slowed down; `seconds` to wait."""

    def __init__(self, seconds: int) -> None:
        super().__init__("account_too_many_attempts", seconds=seconds)
        self.seconds = seconds
