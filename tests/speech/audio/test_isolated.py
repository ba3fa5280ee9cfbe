"""The decoder's child: it answers as `decode` does, and its crash, hang or hunger costs one file."""

from __future__ import annotations

import io
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest
import soundfile

from speech.audio.decode import AudioError, AudioLimits, decode
from speech.audio.isolated import Decoder
from speech.process.child import ChildNotStarted
from speech.process.worker import Worker

FAULTY_CHILD = """
import os, signal, sys, time
import speech.audio.isolated as decoding

sound = decoding.decode

def decode(data, limits):
    if data.startswith(b"CRASH"):
        os.kill(os.getpid(), signal.SIGSEGV)
    if data.startswith(b"HANG"):
        time.sleep(600)
    if data.startswith(b"BUG"):
        raise KeyError("a mistake in a library")
    return sound(data, limits)

decoding.decode = decode
decoding.main()
"""


class FaultyDecoder(Decoder):
    """A decoder whose library crashes, hangs or fails on files that begin with CRASH, HANG or BUG."""

    def __init__(self) -> None:
        super().__init__()
        self._worker = Worker([sys.executable, "-c", FAULTY_CHILD])


def wav(seconds: float = 0.5, hertz: int = 440) -> bytes:
    file = io.BytesIO()
    times = np.arange(int(seconds * 16_000)) / 16_000
    soundfile.write(file, 0.3 * np.sin(2 * np.pi * hertz * times), 16_000, format="WAV")
    return file.getvalue()


@pytest.fixture(scope="module")
def sane() -> Iterator[Decoder]:
    with Decoder() as decoder:
        yield decoder


def code(decoder: Decoder, data: bytes, limits: AudioLimits | None = None) -> str:
    with pytest.raises(AudioError) as caught:
        decoder.decode(data, limits)
    return caught.value.code


def gone(child: psutil.Process) -> None:
    """Wait until a process has ended; its parent has not looked yet."""
    deadline = time.monotonic() + 10.0
    while child.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def children() -> int:
    return len(psutil.Process().children())


def test_the_child_answers_as_the_function_does(sane: Decoder) -> None:
    there, here = sane.decode(wav()), decode(wav())
    assert np.array_equal(there.samples, here.samples)
    assert there.quality == here.quality
    assert (there.source_rate, there.source_channels) == (here.source_rate, here.source_channels)


@pytest.mark.parametrize(
    ("data", "expected"),
    [(b"", "empty"), (b"text", "not_audio"), (wav(0.01), "too_short"), (wav(3), "too_long")],
)
def test_refusals_come_through(sane: Decoder, data: bytes, expected: str) -> None:
    assert code(sane, data, AudioLimits(max_seconds=2)) == expected


def test_one_child_serves_many_files_and_goes_when_closed() -> None:
    before = children()
    decoder = Decoder()
    for hertz in (300, 400, 500):
        decoder.decode(wav(hertz=hertz))
    assert children() == before + 1
    decoder.close()
    assert children() == before


def test_too_large_a_file_is_never_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.wav"
    with path.open("wb") as file:
        file.truncate(10 << 30)  # sparse: reading it would take ten gigabytes
    before = children()
    with Decoder() as decoder, pytest.raises(AudioError) as caught:
        decoder.decode(path)
    assert caught.value.code == "too_large"
    assert children() == before


@pytest.mark.parametrize("fault", [b"CRASH", b"BUG"])
def test_a_crash_costs_one_file(fault: bytes) -> None:
    with FaultyDecoder() as decoder:
        decoder.decode(wav())
        assert code(decoder, fault) == "decoder_crashed"
        assert decoder.decode(wav()).seconds == 0.5


def test_a_hang_costs_one_file_and_the_time_allowed() -> None:
    with FaultyDecoder() as decoder:
        decoder.decode(wav())
        decoder._timeout = 1.0  # only now: starting a child on a busy machine takes longer
        start = time.monotonic()
        assert code(decoder, b"HANG") == "decoder_timeout"
        assert 0.9 < time.monotonic() - start < 30
        decoder._timeout = 60.0
        assert decoder.decode(wav()).seconds == 0.5


def test_a_file_that_swells_in_memory_costs_one_file() -> None:
    swelling = io.BytesIO()
    block = np.zeros((192_000, 8), dtype=np.int16)
    with soundfile.SoundFile(swelling, "w", 192_000, 8, "PCM_16", format="FLAC") as file:
        for _ in range(20):  # 20 s of silence: some hundred kilobytes that decode to 123 MB
            file.write(block)
    assert len(swelling.getvalue()) < 1 << 20
    with Decoder() as fresh:
        fresh.decode(wav())
        usual = psutil.Process(fresh._worker.pid).memory_info().vms
    with Decoder(memory=usual + (60 << 20)) as decoder:
        decoder.decode(wav())
        assert code(decoder, swelling.getvalue()) == "decoder_crashed"
        assert decoder.decode(wav()).seconds == 0.5


def test_what_libraries_print_does_not_disturb() -> None:
    child = "import sys; print('a warning', flush=True); sys.stdin.buffer.read()"
    decoder = Decoder()
    decoder._worker = Worker([sys.executable, "-c", child])
    with pytest.raises(ChildNotStarted):
        decoder.decode(wav())
    decoder._worker = Worker([sys.executable, "-c", f"print('ready', flush=True); {child}"])
    assert code(decoder, wav()) == "decoder_crashed"
    decoder.close()


def test_the_child_knows_no_secrets_and_can_do_little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with Decoder() as decoder:
        decoder.decode(wav())
        process = psutil.Process(decoder._worker.pid)
        assert not {name for name, value in process.environ().items() if "secret" in value}
        assert process.rlimit(psutil.RLIMIT_FSIZE) == (0, 0)
        status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
        assert "NoNewPrivs:\t1" in status


def test_a_child_that_does_not_start_is_said() -> None:
    decoder = Decoder()
    decoder._worker = Worker([sys.executable, "-c", "raise MemoryError"])
    with pytest.raises(ChildNotStarted, match="does not start"):  # no fault of the file's
        decoder.decode(wav())


def test_a_child_killed_from_outside_is_replaced() -> None:
    with Decoder() as decoder:
        decoder.decode(wav())
        child = psutil.Process(decoder._worker.pid)
        child.kill()
        gone(child)
        assert decoder.decode(wav()).seconds == 0.5


def test_threads_share_a_decoder(sane: Decoder) -> None:
    pitches = [200 + 50 * step for step in range(12)]
    with ThreadPoolExecutor(4) as pool:
        sounds = list(pool.map(lambda hertz: sane.decode(wav(hertz=hertz)), pitches))
    for hertz, sound in zip(pitches, sounds, strict=True):
        assert np.array_equal(sound.samples, decode(wav(hertz=hertz)).samples)


def test_the_child_ends_when_its_input_does() -> None:
    decoder = Decoder()
    decoder.decode(wav())
    child = decoder._worker._child
    assert child is not None
    child.requests.close()
    assert child._process.wait(timeout=10) == 0
    decoder.close()


HANGING_PARENT = f"""
import psutil, sys, threading
from speech.audio.isolated import Decoder
from speech.process.worker import Worker
decoder = Decoder()
decoder._worker = Worker([sys.executable, "-c", {FAULTY_CHILD!r}])
threading.Thread(target=decoder.decode, args=(b"HANG",), daemon=True).start()
while decoder._worker.pid is None:
    pass
print(decoder._worker.pid, flush=True)
sys.stdin.read()
"""


def test_the_child_ends_when_its_parent_is_gone_even_while_it_hangs() -> None:
    parent = subprocess.Popen([sys.executable, "-c", HANGING_PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert parent.stdin is not None
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    parent.stdin.close()
    parent.stdout.close()
    assert psutil.wait_procs([child], timeout=10)[1] == []


def test_the_child_outlives_the_thread_that_first_asked() -> None:
    with Decoder() as decoder:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(decoder.decode, wav()).result()
        first = decoder._worker.pid
        assert decoder.decode(wav()).seconds == 0.5
        assert decoder._worker.pid == first


def test_a_closed_decoder_starts_no_child() -> None:
    before = children()
    decoder = Decoder()
    decoder.close()
    assert code(decoder, wav()) == "decoder_crashed"
    assert children() == before
