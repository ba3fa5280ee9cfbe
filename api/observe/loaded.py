"""A bundle in memory as metrics and the loader know it, whatever its recipe."""

from __future__ import annotations

from typing import Protocol


class Config(Protocol):
    """What every recipe's config.yaml says."""

    @property
    def recipe(self) -> str: ...
    @property
    def language(self) -> str: ...
    @property
    def created(self) -> str: ...


class Loaded(Protocol):
    """A bundle of any recipe in memory."""

    @property
    def id(self) -> str: ...
    @property
    def config(self) -> Config: ...
