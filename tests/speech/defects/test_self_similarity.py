"""What repeats is seen, and padding is not."""

from __future__ import annotations

import torch

from speech.defects.self_similarity import BLOCK, FARTHEST, NEAREST, Echo, echoes


def frames(count: int, size: int = 16) -> torch.Tensor:
    return torch.randn(1, count, size, generator=torch.Generator().manual_seed(5))


def strongest_lag(sound: torch.Tensor) -> int:
    """The lag at which the frames are most alike, over the clip."""
    echo = Echo(sound.shape[2], 8).eval()
    seen: list[torch.Tensor] = []
    echo.mix.register_forward_hook(lambda _, given, __: seen.append(given[0]))
    echo(sound, torch.ones(sound.shape[:2]))
    return NEAREST + int(seen[0][0].sum(0).argmax())


def test_a_repeated_stretch_shows_at_its_lag() -> None:
    once = frames(14)
    repeated = torch.cat([frames(30), once, once, once, frames(30) * 0.9], dim=1)
    assert strongest_lag(repeated) == 14


def test_what_the_gate_shuts_out_has_no_say() -> None:
    echo = Echo(16, 8).eval()
    sound, gate = frames(100), torch.ones(1, 100)
    gate[:, 60:] = 0
    gate[:, 20:30] = 0
    other = sound.clone()
    other[:, 60:], other[:, 20:30] = 3.0, -1.0
    assert torch.equal(echo(sound, gate), echo(other, gate))
    alone = echo(sound[:, :60], gate[:, :60])
    assert torch.allclose(alone, echo(other, gate)[:, :60], atol=1e-5)


def test_clips_shorter_than_a_lag_pass() -> None:
    assert Echo(16, 8).eval()(frames(3), torch.ones(1, 3)).shape == (1, 3, 8)
    assert FARTHEST > 3


def test_blocks_meet_without_a_seam() -> None:
    sound = frames(2 * BLOCK + 20)
    banded = echoes(sound)
    assert banded.shape == (1, FARTHEST - NEAREST + 1, 2 * BLOCK + 20)
    for lag in (NEAREST, 17, FARTHEST):
        alone = (sound[:, lag:] * sound[:, :-lag]).sum(-1)
        assert torch.allclose(banded[:, lag - NEAREST, lag:], alone, atol=1e-4)
        assert not banded[:, lag - NEAREST, :lag].any()
