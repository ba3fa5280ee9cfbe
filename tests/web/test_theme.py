"""The colours of the house are far enough apart to be read: WCAG 2.2, level AA, 4.5 to 1 for text."""

from __future__ import annotations

import pytest

from web.theme import COLOURS

# A colour of text, and what it stands on.
PAIRS = [(text, ground) for text in ("ink", "muted", "accent", "bad", "doubt") for ground in ("paper", "ground")]
PAIRS += [("good", "paper"), ("paper", "accent"), ("paper", "bad")]


def luminance(colour: str) -> float:
    """Relative luminance of `#rrggbb`, as WCAG defines it."""
    shares = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_the_measure_is_the_standards() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize(("text", "ground"), PAIRS)
def test_text_can_be_read(text: str, ground: str) -> None:
    assert contrast(COLOURS[text], COLOURS[ground]) >= 4.5
