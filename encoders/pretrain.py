"""Pretrains the small encoder that ships in `encoders/small`, from generated speech without a single defect.

    python -m encoders.pretrain --out encoders/small --hours 8 --minutes 60

A wav2vec 2.0 learns which phoneme of which language sounds at each frame, of sentences that are drawn at random from
dictionaries and spoken by espeak-ng in six languages. No defect label is seen, and no phoneme is put in another's
place. Only voices whose sha1(name) is even speak, and none of those in `samples/corpus.yaml`: the voices of the sample
archive are as new to the encoder as those of a user. It needs the hunspell dictionaries of Debian.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soxr
import torch
import yaml
from safetensors.torch import save_file
from torch import nn
from transformers import Wav2Vec2Config, Wav2Vec2Model

from encoders.sentences import sentences
from pipeline.training.augmentation import Augmentation
from pipeline.training.filterbank import start_as_filterbank
from speech.audio.decode import SAMPLE_RATE
from speech.defects.model import collate
from speech.synthesis.espeak import VOICES, Speech, Synthesiser

ROOT = Path(__file__).resolve().parent.parent
HELD_OUT = ("david", "shelby")  # heard in validation only
UNKNOWN, SILENCE = -100, "_"
MARKS = str.maketrans("", "", "ːˑˈˌ.'̪")
RARE = 200  # frames below which a phoneme is not learnt
ARCHITECTURE: dict[str, Any] = {
    "conv_dim": (160, 160, 256),  # the first two begin as a mel filter bank; strides of 40, 4, 2: 50 frames a second
    "conv_kernel": (320, 8, 3),
    "conv_stride": (40, 4, 2),
    "feat_extract_norm": "layer",
    "do_stable_layer_norm": True,
    "hidden_size": 256,
    "num_hidden_layers": 6,
    "num_attention_heads": 4,
    "intermediate_size": 1024,
    "num_conv_pos_embeddings": 32,
    "num_conv_pos_embedding_groups": 16,
    "conv_bias": True,
    "layerdrop": 0.0,
    "hidden_dropout": 0.0,  # drawing random numbers would take a quarter of the time; augmentation regularises
    "attention_dropout": 0.0,
    "activation_dropout": 0.0,
    "feat_proj_dropout": 0.0,
    "mask_time_prob": 0.05,
    "mask_time_length": 4,
    "mask_feature_prob": 0.0,
}
GENTLY = Augmentation(noise=0.5, room=0.2, telephone=0.1, low_pass=0.1, codec=0.25, masks=0.0, snr_db=(10.0, 40.0))
BATCH_SECONDS = 24.0
PEAK_RATE, WARM_UP = 1.5e-3, 0.04
FRAME, RECEPTIVE = 320, 920  # samples from frame to frame, and those that one frame sees


@dataclass
class Clip:
    """Sound int16 (n,) at 16 kHz, and the phoneme of each encoder frame as an index (frames,)."""

    sound: np.ndarray
    phones: np.ndarray


def frame_symbols(speech: Speech, speed: float, frames: int) -> list[str]:
    """The IPA symbol of the phoneme in the middle of each frame, of whatever language."""
    symbols = [SILENCE] * frames
    before = ""
    for phone in speech.phones:
        symbol = phone.symbol.translate(MARKS)
        if symbol == "ʲ":  # softness, which espeak-ng tells as a phoneme of its own
            symbol = before
        before = symbol
        first, last = ((second / speed * SAMPLE_RATE - RECEPTIVE / 2) / FRAME for second in (phone.start, phone.end))
        for frame in range(max(0, int(np.ceil(first))), min(frames, int(np.ceil(last)))):
            symbols[frame] = symbol or SILENCE
    return symbols


_synthesiser: Synthesiser | None = None


def synthesise(task: tuple[str, str, str, int]) -> tuple[np.ndarray, list[str]]:
    """Sound at 16 kHz and frame symbols of (language, text, voice, seed)."""
    global _synthesiser
    _synthesiser = _synthesiser or Synthesiser()
    language, text, voice, seed = task
    rng = random.Random(seed)
    speech = _synthesiser.speak(
        text, f"{language}+{voice}", pitch=rng.randint(15, 80), words_a_minute=rng.randint(110, 200)
    )
    speed = rng.uniform(0.87, 1.15) if rng.random() < 0.5 else 1.0  # other tempo, pitch and vocal tract at once
    sound = soxr.resample(speech.samples.astype(np.float32) / 32768, speech.rate * speed, SAMPLE_RATE)
    margin = np.zeros(int(rng.uniform(0.0, 0.3) * SAMPLE_RATE), np.float32)
    sound = np.concatenate([sound, margin])
    frames = max(1, (len(sound) - RECEPTIVE) // FRAME + 1)
    symbols = frame_symbols(speech, speed, frames)
    return (sound * 32767 / max(1.0, np.max(np.abs(sound)))).astype(np.int16), symbols


def speak(hours: float, seed: int, workers: int) -> tuple[list[Clip], list[Clip], list[str]]:
    """Training clips, validation clips (voices that training never hears), and the names of the phonemes."""
    rng = random.Random(seed)
    _check_voices()
    count = int(hours * 3600 / 3.6)  # a sentence takes about that many seconds
    tasks = [(language, text, rng.choice(VOICES), rng.getrandbits(32)) for language, text in sentences(count, rng)]
    spoken = []
    with ProcessPoolExecutor(workers) as pool:
        for number, item in enumerate(pool.map(synthesise, tasks, chunksize=32), start=1):
            spoken.append(item)
            if number % 1000 == 0 or number == count:
                print(f"{number} of {count} sentences spoken", flush=True)
    frames = Counter(symbol for _, symbols in spoken for symbol in symbols)
    names = [SILENCE, *sorted(name for name, number in frames.items() if number >= RARE and name != SILENCE)]
    index = {name: position for position, name in enumerate(names)}
    training: list[Clip] = []
    validation: list[Clip] = []
    for (sound, symbols), task in zip(spoken, tasks, strict=True):
        clip = Clip(sound, np.array([index.get(symbol, UNKNOWN) for symbol in symbols], dtype=np.int16))
        (validation if task[2] in HELD_OUT else training).append(clip)
    return training, validation, names


def _check_voices() -> None:
    kept = set(yaml.safe_load((ROOT / "samples" / "corpus.yaml").read_text(encoding="utf-8"))["voices"])
    for name in VOICES:
        if int(hashlib.sha1(name.encode()).hexdigest(), 16) % 2 or name in kept:
            raise ValueError(f"voice {name!r} is kept for judging")


class Batches(torch.utils.data.IterableDataset):
    """Endless batches of clips of like length with fresh augmentation, about `seconds` of sound each."""

    def __init__(self, clips: list[Clip], seconds: float, seed: int) -> None:
        self.clips, self.seconds, self.seed = clips, seconds, seed
        self.augment = Augmentation(
            noise=0.5, room=0.2, telephone=0.1, low_pass=0.1, codec=0.25, masks=0.0, snr_db=(10, 40)
        )

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        rng = np.random.default_rng(self.seed)
        while True:
            order = sorted(rng.permutation(len(self.clips)), key=lambda i: len(self.clips[i].sound) // 8000)
            groups: list[list[int]] = []
            group: list[int] = []
            width = 0
            for index in order:
                width = max(width, len(self.clips[index].sound))
                if group and width * (len(group) + 1) > self.seconds * SAMPLE_RATE:
                    groups.append(group)
                    group, width = [], len(self.clips[index].sound)
                group.append(index)
            groups.append(group)
            for number in rng.permutation(len(groups)):
                yield batch([self.clips[i] for i in groups[number]], self.augment, rng)


def batch(clips: list[Clip], augment: Augmentation | None, rng: np.random.Generator) -> dict[str, torch.Tensor]:
    """sound (batch, samples), lengths (batch,), phones (batch, frames) with `UNKNOWN` beyond a clip's end."""
    sounds = [clip.sound.astype(np.float32) / 32768 for clip in clips]
    if augment is not None:
        sounds = [augment(sound, rng) for sound in sounds]
    sound, lengths = collate(sounds)
    phones = torch.full((len(clips), max(len(clip.phones) for clip in clips)), UNKNOWN, dtype=torch.long)
    for row, clip in zip(phones, clips, strict=True):
        row[: len(clip.phones)] = torch.from_numpy(clip.phones.astype(np.int64))
    return {"sound": sound, "lengths": lengths, "phones": phones}


def logits_of(encoder: nn.Module, head: nn.Module, data: dict[str, torch.Tensor]) -> torch.Tensor:
    """Phoneme logits (batch, frames, phonemes), cut to the frames that have labels."""
    mask = (torch.arange(data["sound"].shape[1]) < data["lengths"].unsqueeze(1)).long()
    hidden = encoder(data["sound"], attention_mask=mask).last_hidden_state
    return head(hidden[:, : data["phones"].shape[1]])


@torch.inference_mode()
def accuracy(encoder: nn.Module, head: nn.Module, clips: list[Clip], names: list[str]) -> dict[str, float]:
    """Share of frames whose phoneme is right, over all, and F1 of the frames of some."""
    encoder.eval(), head.eval()
    right = total = 0
    counts = {name: [0, 0, 0] for name in ("r", "ɡ", "ʁ", "ʀ", "ɣ") if name in names}
    clips = sorted(clips, key=lambda clip: len(clip.sound))
    for start in range(0, len(clips), 16):
        data = batch(clips[start : start + 16], None, np.random.default_rng(0))
        guess = logits_of(encoder, head, data).argmax(-1)
        truth = data["phones"][:, : guess.shape[1]]
        known = truth != UNKNOWN
        right += int(((guess == truth) & known).sum())
        total += int(known.sum())
        for name, sums in counts.items():
            at = names.index(name)
            sums[0] += int(((guess == at) & (truth == at)).sum())
            sums[1] += int(((guess == at) & known).sum())
            sums[2] += int((truth == at).sum())
    encoder.train(), head.train()
    figures = {"frames_right": right / max(total, 1)}
    figures |= {f"f1 {name}": 2 * hit / max(1, said + there) for name, (hit, said, there) in counts.items()}
    return {name: round(value, 4) for name, value in figures.items()}


def train(
    training: list[Clip], validation: list[Clip], names: list[str], minutes: float, seed: int, out: Path
) -> dict[str, float]:
    """Train for so many minutes; the rate rises over `WARM_UP` of the time and falls to zero at the end."""
    torch.manual_seed(seed)
    encoder = Wav2Vec2Model(Wav2Vec2Config(**ARCHITECTURE))
    start_as_filterbank(encoder)
    head = nn.Linear(ARCHITECTURE["hidden_size"], len(names))
    print(f"{sum(p.numel() for p in encoder.parameters()):,} parameters, {len(names)} phonemes", flush=True)
    parameters = [*encoder.parameters(), *head.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=PEAK_RATE, betas=(0.9, 0.98), weight_decay=0.01)
    loader = iter(torch.utils.data.DataLoader(Batches(training, BATCH_SECONDS, seed), batch_size=None, num_workers=1))
    encoder.train()
    began = said = time.monotonic()
    heard, step, loss_sum, figures = 0.0, 0, 0.0, {}
    judged = began
    while (share := (time.monotonic() - began) / (60 * minutes)) < 1:
        for group in optimiser.param_groups:
            group["lr"] = PEAK_RATE * min(share / WARM_UP + 0.01, (1 - share) / (1 - WARM_UP) + 1e-3)
        data = next(loader)
        logits = logits_of(encoder, head, data)
        loss = nn.functional.cross_entropy(
            logits.flatten(0, 1), data["phones"][:, : logits.shape[1]].flatten(), ignore_index=UNKNOWN
        )
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        step, heard, loss_sum = step + 1, heard + data["sound"].numel() / SAMPLE_RATE, loss_sum + loss.item()
        now = time.monotonic()
        if now - said > 30:
            print(f"{(now - began) / 60:.1f} of {minutes} min, step {step}, {heard / 3600:.2f} h, "
                  f"loss {loss_sum / step:.3f} (now {loss.item():.3f})", flush=True)  # fmt: skip
            said = now
        if now - judged > 420:
            print(accuracy(encoder, head, validation[:120], names), flush=True)
            save(encoder, out, {})
            judged = time.monotonic()
    figures = accuracy(encoder, head, validation, names) | {"hours_heard": round(heard / 3600, 2), "steps": step}
    save(encoder, out, figures)
    return figures


def save(encoder: Wav2Vec2Model, out: Path, figures: dict[str, float]) -> None:
    """Write the encoder in half precision, as transformers reads it."""
    out.mkdir(parents=True, exist_ok=True)
    state = {name: value.detach().half().contiguous() for name, value in encoder.state_dict().items()}
    save_file(state, out / "model.safetensors", metadata={"format": "pt"})
    (out / "model.safetensors").chmod(0o644)  # it is written for its owner alone; an image's user is another
    config = encoder.config.to_diff_dict() | {"architectures": ["Wav2Vec2Model"]}
    config.pop("transformers_version", None)
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    features = {"feature_extractor_type": "Wav2Vec2FeatureExtractor", "do_normalize": True, "feature_size": 1}
    features |= {"sampling_rate": SAMPLE_RATE, "padding_value": 0.0, "return_attention_mask": True}
    (out / "preprocessor_config.json").write_text(json.dumps(features, indent=2) + "\n")
    if figures:
        (out / "figures.json").write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n")


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Pretrain the small encoder from generated speech.")
    parser.add_argument("--out", type=Path, default=ROOT / "encoders" / "small")
    parser.add_argument("--hours", type=float, default=8.0, help="hours of speech to generate")
    parser.add_argument("--minutes", type=float, default=60.0, help="minutes to train")
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2, help="processes that generate speech")
    options = parser.parse_args()
    training, validation, names = speak(options.hours, options.seed, options.workers)
    print(train(training, validation, names, options.minutes, options.seed, options.out), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
