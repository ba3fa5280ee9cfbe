"""Trains the start of a marker head for encoders that are there without a hub: which Russian letter sounds when.

    python -m encoders.letters --encoder encoders/small --hours 2.2 --passes 8
    python -m encoders.letters --encoder openai/whisper-base --hours 1.2 --passes 8

The encoder stays as it is; a weighted sum of its layers and one linear layer learn, from generated speech of the same
voices and dictionaries as `encoders.pretrain`, the letter that a consonant is written with (frame by frame, by the
synthesiser's times) and the order of all letters (CTC, of the Russian sentences). No defect is heard: uvular and
fricative sounds come in the words of languages that have them, and count as р and г, as they do in burred and southern
speech. It lies beside the encoder, and pretraining starts from it where the language's alphabet is the same.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from encoders.pretrain import GENTLY, HELD_OUT, UNKNOWN, VOICES, synthesise
from encoders.sentences import sentences
from pipeline.defects.pretraining import LETTER_FILES, letters_folder, start_model
from pipeline.defects.settings import EncoderSettings, Pretext
from speech.defects.model import DefectModel, Frames, MarkerHead, collate
from speech.text.language import load_language
from speech.text.letters import spelling

LANGUAGE = "ru"
# Which letter writes a consonant, of whatever language it comes from; vowels are left to the order of the letters.
WRITTEN = {
    "r": "р", "ɾ": "р", "ʁ": "р", "ʀ": "р", "ɡ": "г", "ɣ": "г", "x": "х", "h": "х", "k": "к", "q": "к",
    "t": "т", "d": "д", "p": "п", "b": "б", "f": "ф", "v": "в", "m": "м", "n": "н", "l": "л", "ɭ": "л", "ɫ": "л",
    "s": "с", "z": "з", "ʃ": "ш", "ʒ": "ж", "ts": "ц", "tʃ": "ч", "ɕ": "щ", "j": "й", "_": "",
}  # fmt: skip
RARE = ("ʁ", "ʀ", "ɣ")  # sounds of р and г that Russian lacks, and their frames' weight
RARE_WEIGHT = 3.0
SOFT = "ʲ"
BATCH, RATE, PASSES = 16, 4e-3, 6
ORDER_WEIGHT = 0.3  # of the loss of the letters' order beside that of the frames


@dataclass
class Clip:
    """`hidden` (layers, frames, size) in half precision; `frames`: the letter of each frame as a place in the alphabet
    from 1, 0 for none, or `UNKNOWN`; `weights` (frames,) in the loss; `letters`: all its letters in order, empty where
    it is not Russian."""

    hidden: torch.Tensor
    frames: torch.Tensor
    weights: torch.Tensor
    letters: tuple[int, ...]


def frame_letters(symbols: list[str], alphabet: str) -> list[int]:
    """The letter of each frame, see `Clip.frames`, of the phonemes of `encoders.pretrain.frame_symbols`."""
    places = {symbol: 1 + alphabet.index(letter) if letter else 0 for symbol, letter in WRITTEN.items()}
    return [places.get(symbol.rstrip(SOFT), UNKNOWN) for symbol in symbols]


@torch.inference_mode()
def hear(model: DefectModel, hours: float, seed: int, workers: int) -> tuple[list[Clip], list[Clip]]:
    """Training clips, and those of voices that training does not hear."""
    rng, noise = random.Random(seed), np.random.default_rng(seed)
    language = load_language(LANGUAGE)
    tasks = [(code, text, rng.choice(VOICES), rng.getrandbits(32)) for code, text in sentences(int(hours * 1000), rng)]
    training: list[Clip] = []
    unheard: list[Clip] = []
    with ProcessPoolExecutor(workers) as pool:
        for number, (task, (spoken, symbols)) in enumerate(
            zip(tasks, pool.map(synthesise, tasks, chunksize=16), strict=True), start=1
        ):
            samples = spoken.astype(np.float32) / 32768
            new_voice = task[2] in HELD_OUT
            sound, lengths = collate([samples if new_voice else GENTLY(samples, noise)], model.spec.normalise)
            hidden = model.encode(sound, lengths).hidden[:, 0]
            labels = torch.tensor(frame_letters(symbols, language.alphabet))
            frames = min(hidden.shape[1], len(labels))
            letters = spelling(task[1], language) if task[0] == LANGUAGE else ()
            weights = torch.tensor([RARE_WEIGHT if symbol.rstrip(SOFT) in RARE else 1.0 for symbol in symbols])
            clip = Clip(hidden[:, :frames].half(), labels[:frames], weights[:frames], letters)
            (unheard if new_voice else training).append(clip)
            if number % 500 == 0:
                print(f"{number} of {len(tasks)} sentences heard", flush=True)
    return training, unheard


def loss_of(head: MarkerHead, clips: list[Clip]) -> torch.Tensor:
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
def figures(head: MarkerHead, clips: list[Clip], alphabet: str) -> dict[str, float]:
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


def train(training: list[Clip], size: int, layers: int, passes: int, seed: int, alphabet: str) -> MarkerHead:
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
    parser.add_argument("--hours", type=float, default=2.0, help="hours of speech to generate")
    parser.add_argument("--passes", type=int, default=PASSES)
    parser.add_argument("--seed", type=int, default=21)
    parser.add_argument("--workers", type=int, default=2, help="processes that generate speech")
    options = parser.parse_args()
    alphabet = load_language(LANGUAGE).alphabet
    settings = EncoderSettings(name=options.encoder, pretext=Pretext.letters)
    model = start_model(settings, ("none",), ("р", "г"), (True,), alphabet=alphabet).eval()
    folder = letters_folder(options.encoder)
    if folder is None:
        parser.error(f"--encoder {options.encoder}: letters can lie beside local encoders only; give a folder")
    training, unheard = hear(model, options.hours, options.seed, options.workers)
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
