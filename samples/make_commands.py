"""Makes `commands.zip`, a small archive of spoken numbers and commands in Russian, to try the recogniser's recipe with.

    python -m samples.make_commands --out samples/commands.zip --seed 20

It needs espeak-ng. The same seed and the same espeak-ng give the same bytes.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
from typing import Any

import numpy as np
import yaml

from samples import recording
from samples.make_mini import HERE, Plan, archive, command, speak, speakers, transcribe

CLIPS_PER_SPEAKER = 25
BIT_RATE = 32_000  # bits a second; no Whisper has to understand these clips
_BLANK = re.compile(r"\{(\w+)\}")


def sentence(corpus: dict[str, Any], rng: random.Random) -> str:
    """A sentence of the grammar, drawn at random."""
    patterns = list(corpus["sentences"])
    (pattern,) = rng.choices(patterns, weights=[corpus["sentences"][pattern] for pattern in patterns])
    return _BLANK.sub(lambda blank: rng.choice(corpus["words"][blank[1]]), pattern)


def plan(corpus: dict[str, Any], seed: int) -> list[Plan]:
    """All clips in shuffled order; no speaker says a sentence twice."""
    rng = random.Random(seed)
    chosen = []
    for speaker in speakers(corpus["voices"], rng):
        texts: dict[str, None] = {}
        while len(texts) < CLIPS_PER_SPEAKER:
            texts[sentence(corpus, rng)] = None
        chosen += [(speaker, text) for text in texts]
    rng.shuffle(chosen)
    return [
        Plan(f"clip_{number:04d}.mp3", "", speaker, text, rng.getrandbits(32))
        for number, (speaker, text) in enumerate(chosen, start=1)
    ]


def make(clip: Plan) -> bytes:
    """The mp3 of one clip."""
    speech = speak(transcribe(clip.text), clip.speaker, 1.0, random.Random(clip.seed))
    return recording.mp3(recording.recorded(speech, np.random.default_rng(clip.seed)), BIT_RATE)


def main() -> int:
    """The command line."""

    def build(options: argparse.Namespace) -> None:
        corpus = yaml.safe_load((HERE / "commands.yaml").read_text(encoding="utf-8"))
        archive(plan(corpus, options.seed), ("file", "text", "speaker"), make, options.out, options.workers)

    return command("Make the sample archive of spoken commands in Russian.", HERE / "commands.zip", build)


if __name__ == "__main__":
    sys.exit(main())
