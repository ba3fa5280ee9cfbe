"""The flat sample file: what goes in comes out, once."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline.clips.samples import SampleWriter, content_hash, map_samples, to_float32, to_int16


def test_16_bit_samples_come_back_bit_for_bit() -> None:
    whole = np.arange(-32768, 32768, dtype=np.int32).astype(np.int16)
    assert np.array_equal(to_int16(to_float32(whole)), whole)


def test_louder_than_full_scale_is_clipped_and_not_wrapped() -> None:
    assert to_int16(np.array([-3.0, 1.0, 600.0], np.float32)).tolist() == [-32768, 32767, 32767]


def test_each_content_is_stored_once(tmp_path: Path) -> None:
    one, two = np.arange(5, dtype=np.int16), np.arange(7, dtype=np.int16)
    with SampleWriter(tmp_path / "samples.i16") as writer:
        offsets = [writer.append(content_hash(samples), samples) for samples in (one, two, one)]
    assert offsets == [0, 5, 0]
    stored = map_samples(tmp_path / "samples.i16")
    assert stored.tolist() == [*one, *two]
    assert not stored.flags.writeable


def test_an_empty_file_is_an_empty_array(tmp_path: Path) -> None:
    with SampleWriter(tmp_path / "samples.i16"):
        pass
    assert len(map_samples(tmp_path / "samples.i16")) == 0
