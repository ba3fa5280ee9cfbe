"""mp3, m4a, webm and what else libsndfile does not read, through FFmpeg's libraries.

What does not decode is left out, and silence of its length takes its place, so that what follows keeps its time.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from speech.archives.signatures import HEAD_BYTES, is_page, is_zip_head, other_archive
from speech.audio.container_structure import breaks_off, is_whole
from speech.audio.decoder_log import TELLING, with_complaints
from speech.audio.limits import AudioError, AudioLimits, require_shape
from speech.audio.pieces import BLOCK_SECONDS, Losses, Piece, Source

if TYPE_CHECKING:
    import av
    from av.audio.frame import AudioFrame
    from av.container import InputContainer

# Without the list FFmpeg also takes play lists and session descriptions, which name files to read and ports to open.
CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,ogg,aac,amr,asf,avi,caf,flac,flv,mp3,mpeg,wav,aiff,wv"
_GUESSED = ("aac", "amr", "mpeg", "flv")  # containers without a length, which FFmpeg guesses from the bit rate
_TRIES = 50  # to go on reading after what is no packet, one after the other
_MOST_LOST_SECONDS = 1.0  # that a packet may claim: damaged headers claim hours
# From which gap between two times on something is missing, by container: the others know no times. A pause of a
# recorder may be a gap as well, but none of hours.
_GAP_SECONDS = {"flac": 0.01, "asf": 0.1, "mov": 0.1, "matroska": 0.1}
_SILENT_PACKET_SECONDS = 0.5  # Opus may send one in 0.4 s while nobody speaks: such gaps are no loss
_MOST_GAP_SECONDS = 10.0
# Without it frames whose checksum fails are heard as noise.
_CHECKED = {"flac": "crccheck+explode", "wavpack": "crccheck"}
_COMFORT_NOISE = {"amrnb": range(8, 16), "amrwb": range(9, 16)}  # frame types without speech, of 3GPP TS 26.101, 26.201
# How files begin that are no sound, beside archives and pages.
_NO_SOUND = (
    b"%PDF", b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"<?xml", b'{"', b"\x7fELF", b"SQLite format 3", b"\xd0\xcf\x11\xe0",
)  # fmt: skip
_TAGS = (b"ID3", b"TAG", b"APETAGEX")  # of an mp3; where several are joined they stand in its midst
_FLOATS = ("pcm_f16le", "pcm_f24le", "pcm_f32le", "pcm_f32be", "pcm_f64le", "pcm_f64be")
_MOST_PEAK = 4.0  # of full scale: lossy formats overshoot it by less, and a damaged frame by any number
_LONGEST_FRAME = 2048  # bytes of an mp3's first frame, in which a tag stands
_COUNTED = 0x01  # a tag's flag: it counts frames
_SAMPLES_A_FRAME, _FULL_RATE = 1152, 32_000  # lower rates have half as many (MPEG-2, 13818-3)
_FULL_SCALES = {"u1": (2.0**7, 2.0**7), "i2": (0.0, 2.0**15), "i4": (0.0, 2.0**31), "i8": (0.0, 2.0**63)}


def read(file: IO[bytes], limits: AudioLimits, track: int = 0) -> Source:
    """The recording in an open file, of which FFmpeg is given no name to follow. `track`: which of its sound tracks.

    Raises `AudioError` `not_audio`, `bad_sample_rate` or `too_many_channels`.
    """
    container = _opened(file)
    try:
        stream = container.streams.audio[track]
        name = stream.codec_context.name
        if name in _CHECKED:
            stream.codec_context.options = {"err_detect": _CHECKED[name]}
        if name in TELLING:
            stream.codec_context.thread_count = 1  # what is logged on other threads could not be told from others' logs
        rate, channels = stream.rate, stream.channels
        require_shape(rate, channels, limits)
        announced = _tagged_seconds(file, rate) if container.format.name == "mp3" else _announced(container, stream)
    except BaseException:
        container.close()
        raise
    losses = _structural_losses(file, container.format.name)
    frames = _decoded(container, stream, losses)
    gap_seconds = _GAP_SECONDS.get(container.format.name.partition(",")[0])
    if gap_seconds is not None:
        frames = _timed(frames, gap_seconds, 0.0 if name == "flac" else None, name == "opus", losses)
    pieces = _pieces(frames, stream, limits)
    codec = f"{container.format.name.partition(',')[0]}/{name}"
    return Source(rate, channels, announced, pieces, losses, name in _FLOATS, gap_seconds is not None, codec)


def tracks(file: IO[bytes]) -> list[int]:
    """The numbers of a file's sound tracks, that which it marks as the default first. Raises `AudioError`
    `not_audio`."""
    import av

    with _opened(file) as container:
        known = [each for each in enumerate(container.streams.audio) if each[1].codec_context is not None]
        default = av.stream.Disposition.default
        return [number for number, each in sorted(known, key=lambda one: not one[1].disposition & default)]


def _opened(file: IO[bytes]) -> InputContainer:
    import av

    file.seek(0)
    head = file.read(HEAD_BYTES)
    # A zip or page that holds an mp3 is no recording, though FFmpeg finds frames in its midst.
    if is_zip_head(head) or other_archive(head) or is_page(head) or head.startswith(_NO_SOUND):
        raise AudioError("not_audio", "the file is of another kind than a sound recording")
    file.seek(0)
    try:
        container = av.open(file, mode="r", options={"format_whitelist": CONTAINERS})
    except (av.FFmpegError, ValueError) as error:
        raise AudioError("not_audio", "the file is no sound recording that can be decoded") from error
    if not container.streams.audio:
        container.close()
        raise AudioError("not_audio", "the file holds no sound track")
    if all(stream.codec_context is None for stream in container.streams.audio):
        container.close()
        raise AudioError("not_audio", "the sound track is in a format that cannot be decoded")
    return container


def _structural_losses(file: IO[bytes], kind: str) -> Losses:
    at = file.tell()  # the container reads on from there
    size = file.seek(0, io.SEEK_END)
    losses = Losses(breaks_off(file, size, kind), damaged=not is_whole(file, size, kind))
    file.seek(at)
    return losses


def _announced(container: InputContainer, stream: av.AudioStream) -> float | None:
    import av

    if container.format.name in _GUESSED:
        return None
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return container.duration / av.time_base if container.duration and len(container.streams) == 1 else None


@dataclass(frozen=True)
class _Frame:
    """Sound that begins at `start`, in seconds where that is known; or `lost` seconds of what does not decode."""

    start: float | None = None
    piece: Piece | None = None
    lost: float = 0.0


def _pieces(frames: Iterator[_Frame], stream: av.AudioStream, limits: AudioLimits) -> Iterator[Piece]:
    """Frames joined to pieces of `BLOCK_SECONDS`; what is lost before the first of them has no length."""
    gathered: list[np.ndarray] = []
    rate, channels, begun = stream.rate, stream.channels, False
    for frame in frames:
        if frame.piece is None:
            if begun:
                gathered.append(np.zeros((round(frame.lost * rate), channels), np.float32))
            continue
        if (frame.piece.rate, frame.piece.channels) != (rate, channels):
            if gathered:
                yield Piece(rate, np.concatenate(gathered))
            gathered, rate, channels = [], frame.piece.rate, frame.piece.channels
            require_shape(rate, channels, limits)
        gathered.append(frame.piece.samples)
        begun = True
        if sum(map(len, gathered)) >= BLOCK_SECONDS * rate:
            yield Piece(rate, np.concatenate(gathered))
            gathered = []
    if gathered:
        yield Piece(rate, np.concatenate(gathered))


def _timed(
    frames: Iterator[_Frame], gap_seconds: float, due: float | None, pauses: bool, losses: Losses
) -> Iterator[_Frame]:
    """The frames, with what is lost where their times leave a gap. `due`: when the first is to begin, None: any time.
    `pauses`: whether short gaps are pauses."""
    for frame in frames:
        if frame.start is not None:
            gap = 0.0 if due is None else frame.start - due
            if gap_seconds < gap < _MOST_GAP_SECONDS:
                losses.damaged = losses.damaged or not pauses or gap > _SILENT_PACKET_SECONDS
                yield _Frame(lost=gap)
            due = frame.start
        if due is not None:
            due += frame.lost if frame.piece is None else frame.piece.seconds
        yield frame


def _decoded(container: InputContainer, stream: av.AudioStream, losses: Losses) -> Iterator[_Frame]:
    import av

    comfort_noise = _COMFORT_NOISE.get(stream.codec_context.name, range(0))
    tags = _TAGS if container.format.name == "mp3" else ()
    name = stream.codec_context.name
    any_peak = name.startswith("pcm_")
    failed = False  # since the last frame
    with container:
        for packet in _packets(container, stream):
            if packet is None:
                failed = True
                continue
            try:
                decoded, doubtful = with_complaints(packet.decode) if name in TELLING else (packet.decode(), False)
                frames = [(frame.time, Piece(frame.sample_rate, _samples(frame))) for frame in decoded]
            except (av.FFmpegError, ValueError):
                data = bytes(packet)
                if any(tag in data for tag in tags):
                    continue
                failed = failed or not data or data[0] >> 3 & 15 not in comfort_noise
                lost = float((packet.duration or 0) * (packet.time_base or 0))
                yield _Frame(lost=min(_MOST_LOST_SECONDS, lost))
                continue
            for start, piece in frames:
                too_loud = not any_peak and piece.samples.size and not np.abs(piece.samples).max() <= _MOST_PEAK
                if doubtful or too_loud:
                    failed = True
                    yield _Frame(lost=piece.seconds)
                    continue
                if packet.size:  # else it is the end, at which a decoder gives what it holds
                    losses.damaged, failed = losses.damaged or failed, False
                yield _Frame(start, piece)
    losses.cut_short = losses.cut_short or failed


def _packets(container: InputContainer, stream: av.AudioStream) -> Iterator[Any]:
    """All packets that are found, None for what is none; the last is empty and asks the decoder for what it holds."""
    import av

    failures = 0
    while failures < _TRIES:
        try:
            for packet in container.demux(stream):
                failures = 0
                yield packet
            return
        except (av.FFmpegError, ValueError):
            failures += 1
            yield None


def _samples(frame: AudioFrame) -> np.ndarray:
    """A frame as float32 (n, channels)."""
    values = frame.to_ndarray()
    values = values.T if frame.format.is_planar else values.reshape(-1, frame.layout.nb_channels)
    if values.dtype.kind == "f":
        return values.astype(np.float32)
    middle, full_scale = _FULL_SCALES[values.dtype.str[1:]]
    return ((values - middle) / full_scale).astype(np.float32)


def _tagged_seconds(file: IO[bytes], rate: int) -> float | None:
    """How long an mp3 of so many hertz says it is, by the frames that a tag of Xing, LAME or Fraunhofer counts.

    None without such a tag: the length is then known when the file is decoded.
    """
    at = file.tell()
    file.seek(0)
    start, skipped = file.read(10), 0
    if start.startswith(b"ID3") and len(start) == 10:
        skipped = 10 + sum((byte & 0x7F) << shift for byte, shift in zip(start[6:], (21, 14, 7, 0), strict=True))
    file.seek(skipped)
    frame = file.read(_LONGEST_FRAME)
    file.seek(at)
    count = None
    for tag, place in ((b"Xing", 8), (b"Info", 8), (b"VBRI", 14)):
        where = frame.find(tag)
        if where >= 0 and len(frame) >= where + place + 4 and (tag == b"VBRI" or frame[where + 7] & _COUNTED):
            count = int.from_bytes(frame[where + place : where + place + 4], "big")
    return count * (_SAMPLES_A_FRAME if rate >= _FULL_RATE else _SAMPLES_A_FRAME // 2) / rate if count else None
