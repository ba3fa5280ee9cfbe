"""The base of what a user can do wrong in the clips stage."""

from __future__ import annotations


class ClipsError(ValueError):
    """Data or settings of the clips stage that a user must mend; the message says which and how."""
