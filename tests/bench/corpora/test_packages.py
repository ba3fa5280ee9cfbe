"""Packages made here, unpacked as those of an index are; nothing is fetched."""

from __future__ import annotations

import json
import shutil
import subprocess
import wave
from pathlib import Path

import av
import numpy as np
import pytest

from bench.corpora import asterisk_ru, festvox_ru, kde, packages, sounds
from bench.corpora.clips import CorpusError, read_clips
from bench.corpora.kokoro import taken, tokens
from bench.corpora.recipe import make
from bench.corpora.rhvoice import profiles
from speech.audio.decode import AudioError

CONTROL = "Package: {}\nVersion: 1\nArchitecture: all\nMaintainer: Nobody <nobody@example.org>\nDescription: a test\n"


def quiet(line: str) -> None:
    return None


def tone(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = (8000 * np.sin(np.arange(16_000) / 10)).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(samples.tobytes())


def offer(name: str, root: Path, store: Path) -> None:
    """Put a package with the files of `root` where it lies after it was fetched: as a .deb, or else unpacked."""
    if shutil.which("dpkg-deb") is None:
        shutil.copytree(root, store / name)
        return
    (root / "DEBIAN").mkdir()
    (root / "DEBIAN" / "control").write_text(CONTROL.format(name))
    (store / "debs").mkdir(parents=True)
    subprocess.run(["dpkg-deb", "-b", root, store / "debs" / f"{name}_1_all.deb"], check=True, capture_output=True)


def festvox(root: Path) -> None:
    voice = root / festvox_ru.VOICE
    tone(voice / "wav" / "ru_0001.wav")
    tone(voice / "wav" / "ru_0002.wav")
    (voice / "lab").mkdir()
    (voice / "etc").mkdir()
    (voice / "lab" / "ru_0001.lab").write_text(
        "#\n0.1 125 pau\n0.2 125 g\n0.3 125 a\n0.4 125 r\n0.5 125 aa\n0.9 125 pau\n"
    )
    (voice / "etc" / "txt.done.data").write_text(
        '( ru_0001 "Гор+а." )\n( ru_0002 "Да \\"нет\\"." )\n( ru_0003 "Без звука." )\n', encoding="utf-8"
    )


def test_a_reading_comes_with_text_phones_and_letters(tmp_path: Path) -> None:
    festvox(tmp_path / "root")
    offer("festvox-ru", tmp_path / "root", tmp_path / "corpora" / ".packages")
    make(festvox_ru.RECIPE, tmp_path / "corpora", quiet)
    first, second = read_clips(tmp_path / "corpora" / "festvox-ru")
    assert first.text == "Гора."
    assert first.phones == (("g", 0.1, 0.2), ("a", 0.2, 0.3), ("r", 0.3, 0.4), ("aa", 0.4, 0.5))
    assert first.letters == (("г", 0.1, 0.2), ("р", 0.3, 0.4))
    assert (second.text, second.phones) == ('Да "нет".', ())


def test_what_children_are_told_is_measured_with_only(tmp_path: Path) -> None:
    letters = tmp_path / "root" / "usr/share/klettres"
    for language in kde.LANGUAGES:
        tone(letters / language / "alpha" / "a.wav")
        (letters / language / "sounds.xml").write_text(
            f'<klettres><alphabet><sound name="А" file="{language}/alpha/a.wav"/>'
            f'<sound name="Б" file="{language}/alpha/missing.wav"/></alphabet></klettres>'
        )
    offer("klettres-data", tmp_path / "root", tmp_path / ".packages")
    clips = make(kde.KLETTRES, tmp_path, quiet)
    assert [(clip.language, clip.text, clip.may_ship) for clip in clips] == [
        (code, "а", False) for code in kde.LANGUAGES
    ]
    assert len({clip.speaker for clip in clips}) == len(kde.LANGUAGES)


def test_bare_g722_is_read(tmp_path: Path) -> None:
    samples = (8000 * np.sin(np.arange(16_000) * 2 * np.pi * 440 / 16_000)).astype("<i2")
    path = tmp_path / "digits.g722"
    with av.open(str(path), "w", format="g722") as file:
        stream = file.add_stream("g722", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate = 16_000
        for packet in (*stream.encode(frame), *stream.encode(None)):
            file.mux(packet)
    sound = sounds.g722(path).sound
    assert len(sound) == pytest.approx(16_000, abs=400)
    assert np.argmax(np.abs(np.fft.rfft(sound[:16_000], 16_000))) == pytest.approx(440, abs=2)


def test_a_silent_prompt_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "short.g722").write_bytes(b"\xfa" * 40)
    with pytest.raises(AudioError):
        sounds.g722(tmp_path / "short.g722")


def test_prompts_that_are_no_speech_are_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "root" / asterisk_ru.SOUNDS
    for name in ("activated", "beep", "silence/1", "digits/0"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.g722").write_bytes(b"")
    offer(asterisk_ru.PACKAGE, tmp_path / "root", tmp_path / "store")
    names = [item.clip.file for item in asterisk_ru.items(tmp_path / "store", quiet)]
    assert names == ["wav/activated.wav", "wav/digits/0.wav"]


def test_a_missing_tool_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CorpusError, match=r"^festvox-ru cannot be fetched: apt-get is not on this machine; [^\n]*$"):
        packages.debian("festvox-ru", tmp_path / "store", quiet)


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="unpacks a .deb")
def test_a_broken_package_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "debs").mkdir()
    (tmp_path / "debs" / "festvox-ru_1_all.deb").write_bytes(b"half of it")
    with pytest.raises(CorpusError, match="delete it to have it fetched again"):
        packages.debian("festvox-ru", tmp_path, quiet)
    assert not (tmp_path / "festvox-ru").exists()


def test_another_wheel_than_the_pinned_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(command: list[str], folder: Path, what: str, remedy: str) -> None:
        (folder / "a-1-py3-none-any.whl").write_bytes(b"another")

    monkeypatch.setattr(packages, "_run", fetch)
    with pytest.raises(CorpusError, match="has sha256"):
        packages.wheel("a==1", "0" * 64, tmp_path, quiet)
    assert not (tmp_path / "a-1").exists()


def test_voices_with_an_odd_hash_are_kept_for_judging() -> None:
    names = ["af_alloy", "af_bella", "am_adam", "bf_emma", "zm_yunxi"]
    chosen = taken(names)
    assert 0 < len(chosen) < len(names)
    assert taken(chosen) == chosen


def test_symbols_without_a_number_are_left_out() -> None:
    assert tokens("aɣb", json.loads('{"a": 43, "b": 44}')) == [0, 43, 44, 0]
    with pytest.raises(CorpusError, match="none of the sounds"):
        tokens("aɣb", {})


def test_russian_voices_are_found_by_their_names(tmp_path: Path) -> None:
    for name, language in (("anna", "Russian"), ("natalia", "Ukrainian")):
        folder = tmp_path / "voices" / name
        folder.mkdir(parents=True)
        (folder / "voice.info").write_text(f"name={name.title()}\nlanguage={language}\n")
    assert profiles(tmp_path) == {"anna": "Anna"}
