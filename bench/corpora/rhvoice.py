"""RHVoice: synthetic voices built from recordings of real Russian speakers.

Debian has it in `non-free`. Where the machine's sources lack that, it is fetched through sources of our own, which lie
in the folder of packages: the machine's own mirror and keys, and no change of the machine. The library is called by
its C interface, so that nothing is installed.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path

import numpy as np
import soxr

from bench.corpora import packages, synthetic
from bench.corpora.clips import CorpusError
from bench.corpora.recipe import Item, Recipe, Recorded
from pipeline.progress import Report
from speech.audio.decode import SAMPLE_RATE

LGPL, CLOSED = "LGPL-2.1+", "CC-BY-NC-ND-4.0"
FREE = {"aleksandr": LGPL, "anna": LGPL, "elena": LGPL, "irina": LGPL, "aleksandr-hq": "CC-BY-SA-4.0"}
READINGS = 500  # sentences of each voice that encoders learn from: about 35 minutes
MAY_SHIP = ("aleksandr", "anna", "elena", "irina")
DATA, LIBRARIES = "rhvoice-russian", ("libsonic0", "librhvoice-core7", "librhvoice5")
LINKED = ("libsonic.so.0", "libRHVoice_core.so.7", "libRHVoice.so.5")  # each needs those before it
NOT_DEBIAN = "its packages are Debian's, and Debian's packages are fetched by apt-get; run this on Debian"

_RateSet = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_void_p)
_Played = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_uint, ctypes.c_void_p)


class _Callbacks(ctypes.Structure):
    _fields_ = (("rate", _RateSet), ("play", _Played), *((f"unused_{index}", ctypes.c_void_p) for index in range(7)))


class _Start(ctypes.Structure):
    _fields_ = (
        ("data_path", ctypes.c_char_p),
        ("config_path", ctypes.c_char_p),
        ("resource_paths", ctypes.c_void_p),
        ("callbacks", _Callbacks),
        ("options", ctypes.c_uint),
    )


class _Voice(ctypes.Structure):
    _fields_ = (
        ("profile", ctypes.c_char_p),
        *((f"absolute_{name}", ctypes.c_double) for name in ("rate", "pitch", "volume")),
        *((f"relative_{name}", ctypes.c_double) for name in ("rate", "pitch", "volume")),
        ("punctuation", ctypes.c_int),
        ("punctuation_list", ctypes.c_char_p),
        ("capitals", ctypes.c_int),
        ("flags", ctypes.c_int),
    )


class Engine:
    """The library with the voices of one folder, for the rest of the process."""

    def __init__(self, libraries: Sequence[Path], data: Path) -> None:
        """Raises `CorpusError` where a library cannot be loaded or finds no voice."""
        try:
            self._library = [ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL) for path in libraries][-1]
        except OSError as error:
            raise CorpusError(f"RHVoice cannot be loaded ({error}); on Debian: apt-get install librhvoice5") from error
        self._rate, self._pieces = SAMPLE_RATE, list[np.ndarray]()
        self._heard = (_RateSet(self._set_rate), _Played(self._play))  # kept, or they would be collected while in use
        self._library.RHVoice_new_tts_engine.restype = ctypes.c_void_p
        self._library.RHVoice_new_message.restype = ctypes.c_void_p
        start = _Start(data_path=str(data).encode(), config_path=str(data / "config").encode())
        start.callbacks = _Callbacks(*self._heard)
        self._engine = ctypes.c_void_p(self._library.RHVoice_new_tts_engine(ctypes.byref(start)))
        if not self._engine:
            raise CorpusError(f"RHVoice finds no voice in {data}; delete it to have it fetched again")

    def _set_rate(self, rate: int, user: object) -> int:
        self._rate = rate
        return 1

    def _play(self, samples: ctypes._Pointer[ctypes.c_short], count: int, user: object) -> int:
        self._pieces.append(np.ctypeslib.as_array(samples, shape=(count,)).copy())
        return 1

    def speak(self, text: str, profile: str) -> np.ndarray:
        """A sentence (n,) float32 at 16 kHz. Raises `CorpusError`."""
        self._pieces = []
        voice = _Voice(profile=profile.encode(), relative_rate=1.0, relative_pitch=1.0, relative_volume=1.0)
        data = text.encode()
        message = self._library.RHVoice_new_message(
            self._engine, data, ctypes.c_uint(len(data)), 0, ctypes.byref(voice), None
        )
        if not message:
            raise CorpusError(f"RHVoice has no voice {profile!r}")
        try:
            self._library.RHVoice_speak(ctypes.c_void_p(message))
        finally:
            self._library.RHVoice_delete_message(ctypes.c_void_p(message))
        if not self._pieces:
            raise CorpusError(f"RHVoice said nothing of {text!r}")
        return soxr.resample(np.concatenate(self._pieces).astype(np.float32) / 32768, self._rate, SAMPLE_RATE)


def items(store: Path, report: Report) -> list[Item]:
    """Every voice, reading its sentences. Raises `CorpusError`."""
    libraries, data = fetched(store, report)
    return [
        Item(clip, partial(recorded, libraries, data, clip.text, profile))
        for voice, profile in profiles(data).items()
        for clip in synthetic.clips("rhvoice", voice, FREE.get(voice, CLOSED), may_ship=voice in MAY_SHIP)
    ]


def reader_items(store: Path, report: Report) -> list[Item]:
    """The LGPL voices, each reading `READINGS` sentences of the dictionary. Raises `CorpusError`."""
    libraries, data = fetched(store, report)
    known = profiles(data)
    return [
        Item(clip, partial(recorded, libraries, data, clip.text, known[voice]))
        for voice in MAY_SHIP
        for clip in synthetic.clips(
            "rhvoice", voice, LGPL, may_ship=True, texts=synthetic.dictionary_sentences(voice, READINGS)
        )
    ]


def fetched(store: Path, report: Report) -> tuple[tuple[Path, ...], Path]:
    """The libraries in the order in which they are loaded, and the folder with the voices. Raises `CorpusError`."""
    apt = non_free(store, report) if not (store / DATA).is_dir() else ()
    data = packages.debian(DATA, store, report, apt) / "usr/share/RHVoice"
    found = [packages.debian(name, store, report, () if name == "libsonic0" else apt) for name in LIBRARIES]
    return tuple(next(folder.rglob(name)) for folder, name in zip(found, LINKED, strict=True)), data


def profiles(data: Path) -> dict[str, str]:
    """Folder of each Russian voice to the name by which the library knows it."""
    found = {}
    for info in sorted(data.glob("voices/*/voice.info")):
        lines = dict(line.split("=", 1) for line in info.read_text(encoding="utf-8").splitlines() if "=" in line)
        if lines.get("language") == "Russian":
            found[info.parent.name] = lines["name"]
    return found


def non_free(store: Path, report: Report) -> list[str]:
    """Options by which apt-get sees `non-free` of the machine's own mirror as well. Raises `CorpusError`."""
    if shutil.which("apt-get") is None:
        raise CorpusError(f"RHVoice: {NOT_DEBIAN}")
    shown = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(SITE) $(RELEASE) $(COMPONENT)"], capture_output=True, text=True
    ).stdout
    mirrors = [line.split() for line in sorted(set(shown.splitlines())) if line.endswith(" main")]
    debian = [(site, release) for site, release, _ in mirrors if site.endswith("/debian") and "-" not in release]
    if not debian:
        raise CorpusError(f"RHVoice: apt has no mirror of Debian among its sources; {NOT_DEBIAN}")
    report("RHVoice: reading the lists of Debian's non-free")
    folder = store / "apt"
    (folder / "lists" / "partial").mkdir(parents=True, exist_ok=True)
    sources = "".join(f"deb {site} {release} main non-free\n" for site, release in debian)
    (folder / "sources.list").write_text(sources, encoding="utf-8")
    options = {
        "Dir::Etc::sourcelist": folder / "sources.list", "Dir::Etc::sourceparts": "-",
        "Dir::State::lists": folder / "lists", "Dir::Cache": folder,
    }  # fmt: skip
    apt = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
    done = subprocess.run(["apt-get", *apt, "update", "-q"], capture_output=True, text=True)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise CorpusError(f"RHVoice: Debian's lists cannot be read ({last}); check the network")
    return apt


def recorded(libraries: tuple[Path, ...], data: Path, text: str, profile: str) -> Recorded:
    """A sentence that a voice reads, by its name in `profiles`. Raises `CorpusError`."""
    return Recorded(_engine(libraries, data).speak(text, profile))


@cache
def _engine(libraries: tuple[Path, ...], data: Path) -> Engine:
    return Engine(libraries, data)


RECIPE = Recipe(
    "rhvoice", 107, f"{LGPL}: {', '.join(MAY_SHIP)}; others {CLOSED}: measured with only",
    "14 synthetic voices of real speakers, fluent: false alarms", items,
)  # fmt: skip
READERS = Recipe(
    "rhvoice-readers", 107, LGPL, "the LGPL voices, 2 hours of words from a dictionary: encoders learn from them",
    reader_items,
)  # fmt: skip
