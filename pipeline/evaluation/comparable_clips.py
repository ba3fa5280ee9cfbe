"""The clips that two models can be compared on."""

from __future__ import annotations

from collections.abc import Container, Sequence

MIN_COMPARABLE = 10  # clips; on fewer a difference is chance


def not_trained_on(bundle: str, contents: Sequence[str], seen: Container[str]) -> tuple[list[int], str]:
    """Which clips, by their `contents`, a champion can be judged on fairly, and why nothing is compared where they are
    too few, else an empty text."""
    fair = [index for index, content in enumerate(contents) if content not in seen]
    if len(fair) >= MIN_COMPARABLE:
        return fair, ""
    return fair, (
        f"{bundle} in service was trained on {len(contents) - len(fair)} of the {len(contents)} test clips; "
        f"the {len(fair)} left are too few to compare on"
    )
