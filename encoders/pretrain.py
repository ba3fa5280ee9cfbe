"""Pretrains the small encoder that ships in `encoders/small`, without a single defect.

    python -m encoders.pretrain --material var/material.npz --out encoders/small --minutes 60

A wav2vec 2.0 learns, frame by frame and at once: which phoneme of which language sounds (generated speech), which code
a teacher's features have that has heard people (recordings), which letter writes a consonant, and the order of the
letters (CTC; Russian). `encoders.material` says what it hears. No defect label is seen, and no phoneme is put in
another's place.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn
from transformers import Wav2Vec2Config, Wav2Vec2Model

from encoders.frames import UNKNOWN
from encoders.material import LANGUAGE, Clip, Material
from encoders.teacher import CODED_LAYERS, CODES
from pipeline.training.augmentation import Augmentation
from pipeline.training.convolution import exact_convolutions
from pipeline.training.filterbank import start_as_filterbank
from speech.audio.decode import SAMPLE_RATE
from speech.defects.model import collate
from speech.text.language import load_language

ROOT = Path(__file__).resolve().parent.parent
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
WORLD = Augmentation(
    noise=0.5, room=0.25, telephone=0.12, low_pass=0.12, codec=0.2, masks=0.0, equaliser=0.6, snr_db=(8.0, 40.0)
)
BATCH_SECONDS = 24.0
PEAK_RATE, WARM_UP = 1.5e-3, 0.04
WEIGHTS = {"phones": 1.0, "codes": 0.5, "letters": 1.0, "order": 0.3}
RARE_LETTERS = "рг"  # what it all is about, and their frames' weight
RARE_WEIGHT = 2.0

Batch = dict[str, torch.Tensor]


class Batches(torch.utils.data.IterableDataset):
    """Endless batches of clips of like length with fresh augmentation, about `seconds` of sound each."""

    def __init__(self, clips: Sequence[Clip], seconds: float, seed: int) -> None:
        self.clips, self.seconds, self.seed = clips, seconds, seed

    def __iter__(self) -> Iterator[Batch]:
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
                yield batch([self.clips[i] for i in groups[number]], WORLD, rng)


def batch(clips: Sequence[Clip], augment: Augmentation | None, rng: np.random.Generator) -> Batch:
    """sound (batch, samples), lengths (batch,), phones and letters (batch, frames), codes (batch, layers, frames), with
    `UNKNOWN` beyond a clip's end, order (batch, letters) with 0 beyond its end."""
    sounds = [clip.sound.astype(np.float32) / 32768 for clip in clips]
    if augment is not None:
        sounds = [augment(sound, rng) for sound in sounds]
    sound, lengths = collate(sounds)
    frames = max(len(clip.phones) for clip in clips)
    data = {"sound": sound, "lengths": lengths, "frames": torch.tensor([len(clip.phones) for clip in clips])}
    for name in ("phones", "letters", "codes"):
        rows = [torch.from_numpy(getattr(clip, name).astype(np.int64)) for clip in clips]
        data[name] = torch.stack([nn.functional.pad(row, (0, frames - row.shape[-1]), value=UNKNOWN) for row in rows])
    orders = [torch.from_numpy(clip.order.astype(np.int64)) for clip in clips]
    data["order"] = nn.utils.rnn.pad_sequence(orders, batch_first=True)
    return data


class Student(nn.Module):
    """The encoder, and on its last layer a linear layer for each thing that it learns."""

    def __init__(self, phones: int, alphabet: str) -> None:
        super().__init__()
        self.encoder = Wav2Vec2Model._from_config(Wav2Vec2Config(**ARCHITECTURE), attn_implementation="sdpa")
        start_as_filterbank(self.encoder)
        size = ARCHITECTURE["hidden_size"]
        self.heads = nn.ModuleDict(
            {
                "phones": nn.Linear(size, phones),
                "codes": nn.Linear(size, len(CODED_LAYERS) * CODES),
                "letters": nn.Linear(size, 1 + len(alphabet)),
                "order": nn.Linear(size, 1 + len(alphabet)),  # CTC's peaks would pull at the frames' letters
            }
        )
        weight = torch.ones(1 + len(alphabet))
        weight[[1 + alphabet.index(letter) for letter in RARE_LETTERS]] = RARE_WEIGHT
        self.weight: torch.Tensor
        self.register_buffer("weight", weight)

    def forward(self, data: Batch) -> dict[str, torch.Tensor]:
        """Logits (batch, frames, …) of each head, cut to the frames that have labels."""
        mask = (torch.arange(data["sound"].shape[1]) < data["lengths"].unsqueeze(1)).long()
        hidden = self.encoder(data["sound"], attention_mask=mask).last_hidden_state[:, : data["phones"].shape[1]]
        return {name: head(hidden) for name, head in self.heads.items()}

    def losses(self, data: Batch) -> dict[str, torch.Tensor]:
        """Of each head's task, where the batch knows anything of it."""
        logits = {name: value.float() for name, value in self(data).items()}
        frames = logits["phones"].shape[1]
        targets = {name: data[name][..., :frames] for name in ("phones", "letters", "codes")}
        found = {}
        if bool((targets["phones"] != UNKNOWN).any()):
            found["phones"] = _cross_entropy(logits["phones"], targets["phones"])
        if bool((targets["letters"] != UNKNOWN).any()):
            found["letters"] = _cross_entropy(logits["letters"], targets["letters"], self.weight)
        if bool((targets["codes"] != UNKNOWN).any()):
            by_layer = logits["codes"].unflatten(-1, (len(CODED_LAYERS), CODES)).transpose(1, 2)
            found["codes"] = _cross_entropy(by_layer, targets["codes"])
        known = (data["order"] > 0).any(1) if data["order"].shape[1] else torch.zeros(len(data["order"])).bool()
        if bool(known.any()):
            found["order"] = nn.functional.ctc_loss(
                logits["order"].log_softmax(-1)[known].transpose(0, 1),
                data["order"][known],
                data["frames"][known].clamp(max=frames),
                (data["order"][known] > 0).sum(1),
                zero_infinity=True,
            )
        return found


def _cross_entropy(logits: torch.Tensor, targets: torch.Tensor, weight: torch.Tensor | None = None) -> torch.Tensor:
    return nn.functional.cross_entropy(logits.flatten(0, -2), targets.flatten(), weight, ignore_index=UNKNOWN)


@torch.inference_mode()
def figures(student: Student, clips: Sequence[Clip], names: Sequence[str], alphabet: str) -> dict[str, float]:
    """Share of frames whose phoneme is right, over all, and F1 of the frames of some phonemes and letters."""
    student.eval()
    chosen = {f"f1 {name}": ("phones", names.index(name)) for name in ("r", "ɡ", "ʁ", "ʀ", "ɣ") if name in names}
    chosen |= {f"f1 {letter}": ("letters", 1 + alphabet.index(letter)) for letter in RARE_LETTERS}
    counts = {name: [0, 0] for name in chosen}
    right = total = 0
    clips = sorted(clips, key=lambda clip: len(clip.sound))
    for start in range(0, len(clips), 16):
        data = batch(clips[start : start + 16], None, np.random.default_rng(0))
        guesses = {name: logits.argmax(-1) for name, logits in student(data).items()}
        known = data["phones"] != UNKNOWN
        right += int(((guesses["phones"] == data["phones"]) & known).sum())
        total += int(known.sum())
        for name, (task, place) in chosen.items():
            said = (guesses[task] == place) & (data[task] != UNKNOWN)
            there = data[task] == place
            counts[name][0] += int((said & there).sum())
            counts[name][1] += int(said.sum() + there.sum())
    student.train()
    shares = {"frames_right": right / max(total, 1)}
    shares |= {name: 2 * hits / max(1, claims) for name, (hits, claims) in counts.items()}
    return {name: round(value, 4) for name, value in shares.items()}


def train(material: Material, minutes: float, seed: int, out: Path) -> dict[str, float]:
    """Train for so many minutes; the rate rises over `WARM_UP` of the time and falls to zero at the end."""
    torch.manual_seed(seed)
    training, validation = material.split()
    alphabet = load_language(LANGUAGE).alphabet
    student = Student(len(material.phones), alphabet).train()
    print(f"{sum(p.numel() for p in student.encoder.parameters()):,} parameters, {len(training)} clips", flush=True)
    optimiser = torch.optim.AdamW(student.parameters(), lr=PEAK_RATE, betas=(0.9, 0.98), weight_decay=0.01)
    loader = iter(torch.utils.data.DataLoader(Batches(training, BATCH_SECONDS, seed), batch_size=None, num_workers=1))
    began = said = judged = time.monotonic()
    heard, step = 0.0, 0
    sums: dict[str, float] = {}
    while (share := (time.monotonic() - began) / (60 * minutes)) < 1:
        for group in optimiser.param_groups:
            group["lr"] = PEAK_RATE * min(share / WARM_UP + 0.01, (1 - share) / (1 - WARM_UP) + 1e-3)
        data = next(loader)
        with exact_convolutions(student), torch.autocast("cpu", torch.bfloat16):
            losses = student.losses(data)
        optimiser.zero_grad()
        torch.stack([WEIGHTS[name] * loss for name, loss in losses.items()]).sum().backward()
        nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimiser.step()
        step, heard = step + 1, heard + data["sound"].numel() / SAMPLE_RATE
        for name, loss in losses.items():
            sums[name] = 0.98 * sums.get(name, loss.item()) + 0.02 * loss.item()
        now = time.monotonic()
        if now - said > 30:
            shown = ", ".join(f"{name} {value:.3f}" for name, value in sums.items())
            print(f"{(now - began) / 60:.1f} of {minutes} min, step {step}, {heard / 3600:.2f} h: {shown}", flush=True)
            said = now
        if now - judged > 420:
            print(figures(student, validation[:120], material.phones, alphabet), flush=True)
            save(student.encoder, out, {})
            judged = time.monotonic()
    reached = figures(student, validation, material.phones, alphabet)
    reached |= {"hours_heard": round(heard / 3600, 2), "steps": step}
    save(student.encoder, out, reached)
    return reached


def save(encoder: Wav2Vec2Model, out: Path, reached: dict[str, float]) -> None:
    """Write the encoder in half precision, as transformers reads it."""
    out.mkdir(parents=True, exist_ok=True)
    state = {name: value.detach().half().contiguous() for name, value in encoder.state_dict().items()}
    save_file(state, out / "model.safetensors", metadata={"format": "pt"})
    (out / "model.safetensors").chmod(0o644)  # it is written for its owner alone; an image's user is another
    config = encoder.config.to_diff_dict() | {"architectures": ["Wav2Vec2Model"]}
    for name in ("transformers_version", "attn_implementation", "_attn_implementation"):
        config.pop(name, None)
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    features = {"feature_extractor_type": "Wav2Vec2FeatureExtractor", "do_normalize": True, "feature_size": 1}
    features |= {"sampling_rate": SAMPLE_RATE, "padding_value": 0.0, "return_attention_mask": True}
    (out / "preprocessor_config.json").write_text(json.dumps(features, indent=2) + "\n")
    if reached:
        (out / "figures.json").write_text(json.dumps(reached, indent=2, ensure_ascii=False) + "\n")


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Pretrain the small encoder.")
    parser.add_argument("--material", type=Path, required=True, help="what `python -m encoders.material` made")
    parser.add_argument("--out", type=Path, default=ROOT / "encoders" / "small")
    parser.add_argument("--minutes", type=float, default=60.0, help="minutes to train")
    parser.add_argument("--seed", type=int, default=20)
    options = parser.parse_args()
    print(train(Material.read(options.material), options.minutes, options.seed, options.out), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
