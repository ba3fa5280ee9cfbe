"""Festival's recorded Russian voice: speech cut from a man's recordings, with the time of every sound in it.

It is another kind of synthesis than espeak-ng's, whose sounds follow rules. It has one speaker and can change no sound.
"""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from speech.audio.decode import SAMPLE_RATE
from speech.synthesis.espeak import Phone

VOICE = "msu_ru_nsh_clunits"
SPEAKER = "msu_ru_nsh"
INSTALL = "on Debian and Ubuntu: apt-get install festival festvox-ru"
VOWELS = frozenset(("ii", "yy", "uu", "ee", "oo", "aa", "a", "e", "i", "y", "u", "ae", "ay", "ur"))
VOICELESS = frozenset(("f", "ff", "s", "ss", "sh", "sch", "h", "hh"))  # of those that can be held
HELD = VOWELS | VOICELESS | {"v", "vv", "z", "zz", "zh", "m", "mm", "n", "nn", "l", "ll"}  # sounds that can be held
LETTERS = {"r": "р", "rr": "р", "g": "г", "gg": "г"}  # a doubled letter is a soft sound

_SPEAK = """(voice_{voice})
(set! said (SynthText "{text}"))
(utt.save.wave said "{sound}" 'riff)
(mapcar (lambda (word)
  (format t "word %s\\n" (item.name word))
  (mapcar (lambda (syllable)
    (mapcar (lambda (phone)
      (format t "phone %s %f %f\\n"
        (item.name phone) (item.feat phone "segment_start") (item.feat phone "end")))
      (item.relation.daughters syllable 'SylStructure)))
    (item.relation.daughters word 'SylStructure)))
  (utt.relation.items said 'Word))
"""


class FestivalError(RuntimeError):
    """Festival or its Russian voice is missing, or it did not speak a text."""


@dataclass(frozen=True)
class Reading:
    """A sentence read aloud: `sound` (n,) float32 at 16 kHz, and the phones of each word, in seconds."""

    sound: np.ndarray
    words: tuple[tuple[Phone, ...], ...]


def check() -> None:
    """Raises `FestivalError`, which says what to install, where the voice cannot speak."""
    _run(f"(voice_{VOICE})\n")


def speak(text: str) -> Reading:
    """`text` in the recorded voice. Raises `FestivalError`."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    with tempfile.TemporaryDirectory() as folder:
        sound = Path(folder) / "said.wav"
        printed = _run(_SPEAK.format(voice=VOICE, text=escaped, sound=sound))
        if not sound.is_file():
            raise FestivalError(f"festival did not speak {text!r}")
        samples, rate = soundfile.read(sound, dtype="float32")
    return Reading(samples if rate == SAMPLE_RATE else soxr.resample(samples, rate, SAMPLE_RATE), words(printed))


def words(printed: str) -> tuple[tuple[Phone, ...], ...]:
    """The phones of each word in what the script prints; words without sound are left out."""
    found: list[list[Phone]] = []
    for line in printed.splitlines():
        what, *rest = line.split()
        if what == "word":
            found.append([])
        elif what == "phone":
            found[-1].append(Phone(rest[0], float(rest[1]), float(rest[2])))
    return tuple(tuple(word) for word in found if word)


def _run(script: str) -> str:
    with tempfile.NamedTemporaryFile("w", suffix=".scm", encoding="utf-8") as file:
        file.write(script)
        file.flush()
        try:
            done = subprocess.run(["festival", "-b", file.name], capture_output=True)
        except FileNotFoundError as error:
            raise FestivalError(
                f"festival is not installed; {INSTALL}; or ask for no such clips: --festival 0"
            ) from error
    complaint = done.stderr.decode(errors="replace").strip()
    if f"voice_{VOICE}" in complaint:
        raise FestivalError(f"festival has no voice {VOICE}; {INSTALL}; or ask for no such clips: --festival 0")
    if done.returncode != 0:
        raise FestivalError(f"festival failed: {complaint}")
    return done.stdout.decode(errors="replace")
