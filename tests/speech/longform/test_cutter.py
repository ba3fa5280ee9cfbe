"""Recordings of any length through the child: windows, channels, broken files, and what stands in the way."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import soundfile

from speech.audio.decode import SAMPLE_RATE, AudioError, measure
from speech.longform.cutter import Cutter, Listening, LongLimits, RecordingSummary, Window, hearing_server
from speech.process.fork_server import ForkServer
from tests.long import contained, heard, joined, room, sentence, written

MINUTE = (3.0, "city", 4.0, "forest", 0.4, "city", 8.0, "forest", 6.0, "city", 0.3, "forest", 0.3, "city", 20.0)


def refused(path: Path, limits: LongLimits | None = None, listening: Listening | None = None) -> str:
    before = children()
    with pytest.raises(AudioError) as caught:
        heard(path, listening, limits)
    assert str(caught.value)
    assert children() == before
    return caught.value.code


def children() -> int:
    return len(psutil.Process().children())


@pytest.fixture(scope="module")
def minute(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("long") / "minute.wav", joined(*MINUTE))


@pytest.fixture(scope="module")
def plain(minute: Path) -> list[Window]:
    """The windows of the minute."""
    return heard(minute)[0]


def test_a_minute_with_one_voice_and_silence(minute: Path) -> None:
    windows, all_ = heard(minute)
    spoken = [joined(*MINUTE[:end]) for end in (2, 3, 6, 7, 8, 9, 14)]
    assert [round(window.start, 1) for window in windows] == pytest.approx(
        [3.0, len(spoken[1]) / 16_000, len(spoken[3]) / 16_000, len(spoken[5]) / 16_000], abs=0.35
    )
    assert [window.end for window in windows] == pytest.approx(
        [len(spoken[0]) / 16_000, len(spoken[2]) / 16_000, len(spoken[4]) / 16_000, len(spoken[6]) / 16_000], abs=0.35
    )
    whole = joined(*MINUTE).astype(np.float64)
    for window in windows:
        assert (window.channel, window.samples.dtype) == (None, np.float32)
        assert window.end - window.start == pytest.approx(len(window.samples) / SAMPLE_RATE)
        start = round(window.start * SAMPLE_RATE)
        np.testing.assert_allclose(window.samples, whole[start : start + len(window.samples)], atol=1 / 32_000)
        assert 0 < window.speech_seconds <= window.end - window.start
    assert all_.seconds == pytest.approx(len(whole) / SAMPLE_RATE)
    assert all_.speech_seconds == {None: pytest.approx(sum(window.speech_seconds for window in windows), abs=0.01)}
    assert (all_.source_channels, all_.source_rate, all_.cut_short, all_.judged_channels) == (1, 16_000, False, (None,))
    assert all_.quality[None].level_dbfs == pytest.approx(measure(whole.astype(np.float32)).level_dbfs, abs=0.01)
    assert RecordingSummary.from_dict(all_.as_dict()) == all_


def test_two_speakers_on_two_sides(tmp_path: Path) -> None:
    left, right = joined(1.0, "city", 6.0), joined(4.0, "forest", 6.0)
    length = min(len(left), len(right))
    path = written(tmp_path / "call.flac", np.stack([left[:length], right[:length]], axis=1), 16_000)
    windows, all_ = heard(path, Listening(each_channel=True))
    assert [window.channel for window in windows] == [0, 1]
    assert [round(window.start) for window in windows] == [1, 4]
    assert set(all_.speech_seconds) == set(all_.quality) == {0, 1}
    mixed, _ = heard(path)
    assert {window.channel for window in mixed} == {None}
    assert np.abs(mixed[0].samples).max() == pytest.approx(0.25, abs=0.01)  # half of what is on one channel


def test_one_silent_side_is_heard_as_such(tmp_path: Path) -> None:
    sound = joined(1.0, "city", 1.0)
    path = written(tmp_path / "half.wav", np.stack([np.zeros_like(sound), sound], axis=1))
    windows, all_ = heard(path, Listening(each_channel=True))
    assert [window.channel for window in windows] == [1]
    assert all_.speech_seconds[0] == 0.0
    assert all_.quality[0].silent_share == 1.0


@pytest.mark.parametrize(
    ("name", "rate", "subtype"),
    [("a.mp3", 16_000, None), ("a.ogg", 16_000, "VORBIS"), ("a.ogg", 16_000, "OPUS"), ("a.wav", 16_000, "ULAW"),
     ("a.wav", 8_000, "PCM_16"), ("a.mp3", 8_000, None)],
)  # fmt: skip
def test_formats_give_the_same_windows(tmp_path: Path, plain: list[Window], name: str, rate: int, subtype: str) -> None:
    samples = joined(*MINUTE)
    path = written(tmp_path / name, samples[:: 16_000 // rate], rate, **({"subtype": subtype} if subtype else {}))
    wanted = [(window.start, window.end) for window in plain]
    windows, all_ = heard(path)
    assert [(window.start, window.end) for window in windows] == [pytest.approx(pair, abs=0.4) for pair in wanted]
    assert all_.seconds == pytest.approx(len(samples) / SAMPLE_RATE, abs=0.1)
    assert (all_.source_rate, all_.cut_short) == (rate, False)


@pytest.mark.parametrize(("kind", "codec"), [("mp4", "aac"), ("webm", "libopus")])
def test_containers_whole_and_cut(tmp_path: Path, plain: list[Window], kind: str, codec: str) -> None:
    samples = joined(*MINUTE)
    data = contained(samples, kind, codec)
    path = tmp_path / "recording"
    path.write_bytes(data)
    windows, all_ = heard(path)
    assert len(windows) == len(plain)
    assert all_.seconds == pytest.approx(len(samples) / SAMPLE_RATE, abs=0.1)
    assert not all_.cut_short
    if kind == "webm":  # an mp4 has its index at the end: cut, it is no recording at all
        path.write_bytes(data[: len(data) // 2])
        some, part = heard(path)
        assert part.cut_short
        assert 0 < len(some) < len(windows)
        assert part.announced_seconds == pytest.approx(all_.seconds, abs=0.1)
    else:
        path.write_bytes(data[: len(data) // 2])
        assert refused(path) == "not_audio"


@pytest.mark.parametrize("form", ["wav", "flac", "ogg", "mp3"])
def test_what_a_cut_file_lacks_is_said(tmp_path: Path, plain: list[Window], form: str) -> None:
    path = written(tmp_path / f"whole.{form}", joined(*MINUTE))
    data = path.read_bytes()
    assert not heard(path)[1].cut_short
    path.write_bytes(data[: len(data) * 4 // 10])
    windows, part = heard(path)
    assert part.cut_short
    assert 0 < len(windows) < len(plain)
    assert 0.2 < part.seconds / (len(joined(*MINUTE)) / SAMPLE_RATE) < 0.9


def test_an_mp3_of_varying_bit_rate_without_its_tag(tmp_path: Path, plain: list[Window]) -> None:
    path = tmp_path / "vbr.mp3"
    written(path, joined(*MINUTE), bitrate_mode="VARIABLE", compression_level=0.5)  # type: ignore[arg-type]
    data = path.read_bytes()
    first = data.index(data[:3], 4)  # all frames begin with the same bits
    assert b"Xing" in data[:first]
    path.write_bytes(b"ID3\x04\x00\x00\x00\x00\x02\x00" + bytes(256) + data[first:])
    assert soundfile.info(path).duration < 40
    windows, all_ = heard(path)
    assert len(windows) == len(plain)
    assert all_.seconds == pytest.approx(len(joined(*MINUTE)) / SAMPLE_RATE, abs=0.2)
    assert (all_.announced_seconds, all_.cut_short) == (None, False)  # its guess would be far off


def test_two_mp3_in_one_file_are_both_heard(tmp_path: Path) -> None:
    path = written(tmp_path / "two.mp3", joined(1.0, "city", 2.0))
    path.write_bytes(2 * path.read_bytes())
    windows, all_ = heard(path)
    assert len(windows) == 2
    assert not all_.cut_short  # though the first tag says that it ends sooner


def test_damage_in_the_middle_is_said_and_what_follows_is_heard(tmp_path: Path, plain: list[Window]) -> None:
    path = written(tmp_path / "damaged.mp3", joined(*MINUTE))
    data = bytearray(path.read_bytes())
    third = len(data) // 3
    data[third : third + 4_000] = np.random.default_rng(0).bytes(4_000)
    path.write_bytes(data)
    windows, all_ = heard(path)
    assert len(windows) == len(plain)
    assert (all_.damaged, all_.cut_short, all_.incomplete) == (True, False, True)


@pytest.mark.parametrize(
    ("sound", "code"),
    [(np.zeros(48_000), "silent"), (room(3.0), "silent"), (0.1 * np.sin(np.arange(48_000) / 5), "no_speech"),
     (sentence()[:1_000], "too_short"), (np.full(16_000, np.nan), "not_audio")],
    ids=["nothing", "room", "tone", "short", "nan"],
)  # fmt: skip
def test_where_nobody_speaks(tmp_path: Path, sound: np.ndarray, code: str) -> None:
    assert refused(written(tmp_path / "a.wav", sound, subtype="FLOAT")) == code


@pytest.mark.parametrize(
    ("data", "code"),
    [(b"", "empty"), (b"file,label\na.mp3,none\n" * 50, "not_audio"), (bytes(9_000), "not_audio"),
     (b"\x89PNG\r\n\x1a\n" + bytes(500), "not_audio"), (b"OggS" + bytes(500), "not_audio")],
)  # fmt: skip
def test_what_is_no_sound(tmp_path: Path, data: bytes, code: str) -> None:
    path = tmp_path / "a.mp3"
    path.write_bytes(data)
    assert refused(path) == code


def test_a_list_of_other_files_is_not_followed(tmp_path: Path, minute: Path) -> None:
    path = tmp_path / "list.m3u8"
    path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:60\n#EXTINF:60,\nfile://{minute}\n#EXT-X-ENDLIST\n")
    assert refused(path) == "not_audio"
    path.write_text(f"ffconcat version 1.0\nfile '{minute}'\n")
    assert refused(path) == "not_audio"


def test_a_name_says_nothing(tmp_path: Path, minute: Path, plain: list[Window]) -> None:
    for name in ("a.raw", "concat:a|b", "-i"):
        (tmp_path / name).write_bytes(minute.read_bytes())
        assert len(heard(tmp_path / name)[0]) == len(plain)


def test_limits(tmp_path: Path, minute: Path) -> None:
    assert refused(minute, LongLimits(max_bytes=1_000)) == "too_large"
    assert refused(minute, LongLimits(max_seconds=30.0)) == "too_long"
    assert refused(minute, LongLimits(min_rate=22_050)) == "bad_sample_rate"
    stereo = written(tmp_path / "stereo.wav", np.stack([sentence(), sentence()], axis=1))
    assert refused(stereo, LongLimits(max_channels=1)) == "too_many_channels"
    with pytest.raises(ValueError, match="at least 2 s"):
        Cutter(minute, Listening(window_seconds=1.0), LongLimits(min_seconds=2.0))
    with pytest.raises(ValueError, match="window_seconds"):
        Listening(window_seconds=0.0)
    with pytest.raises(FileNotFoundError):
        Cutter(tmp_path / "none.wav")


def test_a_window_is_no_longer_than_the_bundle_allows(minute: Path) -> None:
    windows, _ = heard(minute, Listening(window_seconds=30.0), LongLimits(max_window_seconds=4.0))
    assert max(len(window.samples) for window in windows) <= 4 * SAMPLE_RATE


def test_descriptors_beyond_select_s_are_read(minute: Path, plain: list[Window]) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = 2048 if hard == resource.RLIM_INFINITY else min(hard, 2048)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
    taken = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        assert len(heard(minute)[0]) == len(plain)
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_who_reads_slowly_is_waited_for(minute: Path, plain: list[Window]) -> None:
    limits = LongLimits(stall_seconds=1.0)
    with Cutter(minute, limits=limits) as cutter:
        windows = []
        for window in cutter:
            time.sleep(1.2)
            windows.append(window)
    assert len(windows) == len(plain)
    assert cutter.position > 50
    assert cutter.announced_seconds == pytest.approx(cutter.summary.seconds)


FAULTY = """
import os, signal, sys, time
import speech.longform.child as hearing
def windows(blocks, listening, limits, overlap_seconds):
    yield 1.0
    {fault}
hearing.windows = windows
hearing.main()
"""


@pytest.mark.parametrize(
    ("fault", "code"),
    [("os.kill(os.getpid(), signal.SIGSEGV)", "decoder_crashed"), ("raise KeyError", "decoder_crashed"),
     ("raise MemoryError", "decoder_crashed"), ("time.sleep(600)", "decoder_timeout")],
)  # fmt: skip
def test_a_fault_of_a_library_costs_the_file(minute: Path, fault: str, code: str) -> None:
    before = children()
    server = ForkServer([sys.executable, "-c", FAULTY.format(fault=fault)])
    cutter = Cutter(minute, limits=LongLimits(stall_seconds=1.0), server=server)
    with pytest.raises(AudioError) as caught:
        list(cutter)
    server.close()
    assert caught.value.code == code
    assert children() == before


def test_too_little_memory_costs_the_file(minute: Path) -> None:
    assert refused(minute, LongLimits(memory=64 << 20)) == "decoder_crashed"


def test_leaving_ends_the_child(minute: Path) -> None:
    before = children()
    with Cutter(minute) as cutter:
        next(iter(cutter))
        assert children() == before + 1
        with pytest.raises(RuntimeError, match="exhausted"):
            _ = cutter.summary
    assert children() == before
    with pytest.raises(RuntimeError, match="once"):
        next(iter(cutter))


def test_the_child_ends_when_its_parent_is_gone(minute: Path) -> None:
    program = (
        "import psutil, sys, time; from pathlib import Path; from speech.longform.cutter import Cutter\n"
        "cutter = Cutter(Path(sys.argv[1])); next(iter(cutter)); found = psutil.Process().children(recursive=True)\n"
        "print(*[child.pid for child in found], flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", program, str(minute)], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    children = [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]
    assert len(children) == 2  # who forks, and who hears
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    assert psutil.wait_procs(children, timeout=10)[1] == []


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_what_is_sent_to_all_processes_at_once_ends_no_hearing(
    minute: Path, plain: list[Window], sent: signal.Signals
) -> None:
    server = hearing_server()
    with Cutter(minute, server=server) as cutter:
        windows = iter(cutter)
        assert next(windows).start == plain[0].start
        process = psutil.Process(server.pid)
        for each in (*process.children(), process):
            each.send_signal(sent)
        assert len(list(windows)) == len(plain) - 1
    server.close()


def waited(server: psutil.Process, count: int) -> list[psutil.Process]:
    """The server's children, when there are so many: it buries them when it comes to it."""
    deadline = time.monotonic() + 10.0
    while len(found := server.children()) != count:
        assert time.monotonic() < deadline, found
        time.sleep(0.01)
    return found


def test_children_of_one_server_do_not_disturb_each_other(minute: Path, plain: list[Window]) -> None:
    server = hearing_server()
    try:
        with Cutter(minute, server=server) as first, Cutter(minute, server=server) as second:
            begun = iter(first)
            assert next(begun).start == plain[0].start
            assert [window.start for window in second] == [window.start for window in plain]
            process = psutil.Process(server.pid)
            assert process.num_threads() == 1  # it could not fork safely
            waited(process, 1)[0].kill()
            with pytest.raises(AudioError, match="broke off"):
                list(begun)
            waited(process, 0)
        with Cutter(minute, server=server) as left:
            next(iter(left))
            server.rest()
            assert server.pid == process.pid  # somebody hears
        with Cutter(minute, server=server) as left:
            begun = iter(left)
            next(begun)
            process.kill()
            process.wait()
            with pytest.raises(OSError, match="has ended"):  # no fault of the file's
                list(begun)
        with Cutter(minute, server=server) as again:
            assert len(list(again)) == len(plain)
        server.rest()
        assert server.pid is None
    finally:
        server.close()
