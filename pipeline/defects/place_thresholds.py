"""From how much on a frame belongs to a place of a defect, learned from clips that are known not to have it.

No one marks places, so no threshold can be chosen by those that are hit. But what is found in a clip without the defect
is wrong wherever it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from speech.defects.localisation import stretches
from speech.defects.spec import REFERENCE_CLASS

# Places a minute that a threshold lets through where there are none. Few of them are ever shown, as a clip without a
# defect is seldom said to have one; a letter's defect can be only where the letter is, so there are fewer.
WRONG_A_MINUTE = 55.0
LETTER_WRONG_A_MINUTE = 25.0
_THRESHOLDS = np.geomspace(0.9, 1e-3, 80)
_MOST_CLIPS = 500  # that suffice for a rate


def choose_heard_from(
    heard: Sequence[np.ndarray],
    truth: np.ndarray,
    classes: Sequence[str],
    frame_seconds: float,
    letters: Mapping[str, tuple[str, ...]],
) -> dict[str, float]:
    """Per defect the lowest threshold, 0 to 1, down to which clips without it show few places.

    `heard` holds `speech.defects.localisation.heard_in` of each clip, (frames, classes); `truth` (clips, classes),
    bool, says which classes a clip has. A defect that every clip has gets none."""
    chosen = {}
    for index, name in enumerate(classes):
        without = [curves[:, index] for curves, has in zip(heard, truth[:, index], strict=True) if not has]
        if name != REFERENCE_CLASS and without:
            rate = LETTER_WRONG_A_MINUTE if letters.get(name) else WRONG_A_MINUTE
            chosen[name] = _lowest(without[:_MOST_CLIPS], frame_seconds, rate)
    return chosen


def _lowest(curves: Sequence[np.ndarray], frame_seconds: float, a_minute: float) -> float:
    """The lowest threshold that, as all higher ones, lets at most so many places through."""
    allowed = a_minute / 60.0 * frame_seconds * sum(map(len, curves))
    lowest = float(_THRESHOLDS[0])
    for threshold in _THRESHOLDS.tolist():
        if sum(1 for curve in curves for _ in stretches(curve, frame_seconds, threshold)) > allowed:
            break
        lowest = threshold
    return round(lowest, 4)
