"""Trains the start of a marker head for encoders that are there without a hub: which Russian letter sounds when.

    python -m encoders.letters --encoder encoders/small --material var/material.npz --hours 4
    python -m encoders.letters --encoder openai/whisper-base --material var/material.npz --hours 2

The encoder stays as it is; a weighted sum of its layers and one linear layer learn, of a part of what
`encoders.material` made, the letter that a consonant is written with (frame by frame) and the order of all letters
(CTC, of the Russian sentences). No defect is heard: uvular and fricative sounds come in the words of languages that
have them, and count as р and г, as they do in burred and southern Russian. The head counts nothing by itself: a run
teaches it when the letters are to be counted.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from encoders.frames import UNKNOWN
from encoders.material import LANGUAGE, SOFT, Clip, Material
from pipeline.defects.pretraining import LETTER_FILES, letters_folder, start_model
from pipeline.defects.settings import EncoderSettings, Pretext
from pipeline.training.augmentation import Augmentation
from speech.audio.decode import SAMPLE_RATE
from speech.defects.model import DefectModel, Frames, MarkerHead, collate
from speech.text.language import load_language

GENTLY = Augmentation(noise=0.5, room=0.2, telephone=0.1, low_pass=0.1, codec=0.25, masks=0.0, snr_db=(10.0, 40.0))
RARE = ("ʁ", "ʀ", "ɣ")  # sounds of р and г that Russian lacks, and their frames' weight
RARE_WEIGHT = 3.0
BATCH, RATE, PASSES = 16, 4e-3, 6
ORDER_WEIGHT = 0.3  # of the loss of the letters' order beside that of the frames
SAY_EVERY = 500  # clips


@dataclass
class Heard:
    """`hidden` (layers, frames, size) in half precision; `frames`: see `Clip.letters`; `weights` (frames,) in the loss;
    `letters`: all its letters in order, empty where they are unknown."""

    hidden: torch.Tensor
    frames: torch.Tensor
    weights: torch.Tensor
    letters: tuple[int, ...]


def drawn(clips: Sequence[Clip], hours: float, rng: random.Random) -> list[Clip]:
    """So many hours of clips, at random."""
    chosen, left = [], hours * 3600 * SAMPLE_RATE
    for clip in rng.sample(clips, len(clips)):
        if left <= 0:
            break
        chosen.append(clip)
        left -= len(clip.sound)
    return chosen


@torch.inference_mode()
def hear(
    model: DefectModel, clips: Sequence[Clip], phones: Sequence[str], rng: np.random.Generator, *, noisy: bool
) -> list[Heard]:
    """What the encoder makes of clips, `noisy` ones as the world passes them on."""
    rare = np.array([name.rstrip(SOFT) in RARE for name in phones])
    heard = []
    for number, clip in enumerate(clips, start=1):
        samples = clip.sound.astype(np.float32) / 32768
        encoded = model.encode(*collate([GENTLY(samples, rng) if noisy else samples], model.spec.normalise)).hidden
        hidden = encoded[:, 0, : len(clip.letters)].half()
        frames = hidden.shape[1]
        known = np.where(clip.phones == UNKNOWN, 0, clip.phones)
        weights = np.where((clip.phones != UNKNOWN) & rare[known], RARE_WEIGHT, 1.0).astype(np.float32)
        labels = torch.from_numpy(clip.letters.astype(np.int64))[:frames]
        heard.append(Heard(hidden, labels, torch.from_numpy(weights)[:frames], tuple(clip.order.tolist())))
        if number % SAY_EVERY == 0:
            print(f"{number} of {len(clips)} clips heard", flush=True)
    return heard


def loss_of(head: MarkerHead, clips: Sequence[Heard]) -> torch.Tensor:
    """Cross entropy of the frames' letters, and CTC of the letters' order where it is known."""
    longest = max(len(clip.frames) for clip in clips)
    hidden = torch.stack(
        [nn.functional.pad(clip.hidden.float(), (0, 0, 0, longest - len(clip.frames))) for clip in clips], dim=1
    )
    frames = torch.stack([nn.functional.pad(c.frames, (0, longest - len(c.frames)), value=UNKNOWN) for c in clips])
    _, logs = head(Frames(hidden, frames != UNKNOWN))
    weights = torch.stack([nn.functional.pad(c.weights, (0, longest - len(c.frames))) for c in clips])
    single = nn.functional.nll_loss(logs.flatten(0, 1), frames.flatten(), ignore_index=UNKNOWN, reduction="none")
    loss = (single * weights.flatten()).sum() / (weights * (frames != UNKNOWN)).sum()
    ordered = [index for index, clip in enumerate(clips) if clip.letters]
    if not ordered:
        return loss
    order = nn.functional.ctc_loss(
        logs[ordered].transpose(0, 1),
        torch.tensor([letter for index in ordered for letter in clips[index].letters]),
        torch.tensor([len(clips[index].frames) for index in ordered]),
        torch.tensor([len(clips[index].letters) for index in ordered]),
        zero_infinity=True,
    )
    return loss + ORDER_WEIGHT * order


@torch.inference_mode()
def figures(head: MarkerHead, clips: Sequence[Heard], alphabet: str) -> dict[str, float]:
    """Share of consonant and silent frames whose letter is right, and F1 of the frames of р and г."""
    truth, guess = [], []
    for clip in clips:
        _, logs = head(Frames(clip.hidden.float().unsqueeze(1), torch.ones(1, len(clip.frames), dtype=torch.bool)))
        truth.append(clip.frames)
        guess.append(logs[0].argmax(-1))
    all_truth, all_guess = torch.cat(truth), torch.cat(guess)
    known = all_truth != UNKNOWN
    found = {"frames_right": float((all_truth == all_guess)[known].float().mean())}
    for letter in "рг":
        place = 1 + alphabet.index(letter)
        hits = int(((all_truth == place) & (all_guess == place)).sum())
        claims = int(((all_guess == place) & known).sum()) + int((all_truth == place).sum())
        found[f"f1 {letter}"] = 2 * hits / max(1, claims)
    return {name: round(value, 4) for name, value in found.items()}


def train(training: Sequence[Heard], size: int, layers: int, passes: int, seed: int, alphabet: str) -> MarkerHead:
    """A marker head that spells, of `passes` over the clips."""
    torch.manual_seed(seed)
    head = MarkerHead(layers, size, "рг", alphabet)
    optimiser = torch.optim.AdamW(head.parameters(), lr=RATE, weight_decay=0.01)
    steps = passes * -(-len(training) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps + 1)
    rng = random.Random(seed)
    for number in range(passes):
        order = sorted(training, key=lambda clip: len(clip.frames) + rng.uniform(0, 30))
        groups = [order[start : start + BATCH] for start in range(0, len(order), BATCH)]
        rng.shuffle(groups)
        total = 0.0
        for group in groups:
            loss = loss_of(head, group)
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(head.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            total += loss.item()
        print(f"pass {number + 1} of {passes}: loss {total / len(groups):.3f}", flush=True)
    return head.eval()


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Train the start of a marker head for the small encoder.")
    parser.add_argument("--encoder", default="encoders/small", help="as ops.encoder.config.name of a run")
    parser.add_argument("--material", type=Path, required=True, help="what `python -m encoders.material` made")
    parser.add_argument("--hours", type=float, default=4.0, help="hours of it to learn from")
    parser.add_argument("--passes", type=int, default=PASSES)
    parser.add_argument("--seed", type=int, default=21)
    options = parser.parse_args()
    alphabet = load_language(LANGUAGE).alphabet
    settings = EncoderSettings(name=options.encoder, pretext=Pretext.letters)
    model = start_model(settings, ("none",), ("р", "г"), (True,), alphabet=alphabet).eval()
    folder = letters_folder(options.encoder)
    if folder is None:
        parser.error(f"--encoder {options.encoder}: letters can lie beside local encoders only; give a folder")
    material = Material.read(options.material)
    known, held = material.split()
    noise = np.random.default_rng(options.seed)
    chosen = drawn(known, options.hours, random.Random(options.seed))
    training = hear(model, chosen, material.phones, noise, noisy=True)
    unheard = hear(model, held, material.phones, noise, noisy=False)
    layers, _, size = training[0].hidden.shape
    head = train(training, size, layers, options.passes, options.seed, alphabet)
    reached = figures(head, unheard, alphabet)
    print(reached)
    folder.mkdir(exist_ok=True)
    description, weights = (folder / name for name in LETTER_FILES)
    save_file({name: value.half().contiguous() for name, value in head.state_dict().items()}, weights)
    weights.chmod(0o644)
    text = json.dumps({"alphabet": alphabet, "unheard_voices": reached}, indent=2, ensure_ascii=False)
    description.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
