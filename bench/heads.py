"""Pretext tasks and defect heads on a frozen encoder: which localise р and г, which tell defects apart.

    python -m bench.heads --corpus var/bench/corpus.zip --encoder encoders/small --picture bench/heads.png

The encoder's layers are computed once per clip; every variant then trains on the same features, three seeds each, and
is judged on voices and sentences that neither it nor the encoder has heard. It is a quick proxy of whole fine-tuning,
which `python -m bench.recipe` measures.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from sklearn.metrics import f1_score
from torch import nn

from bench.features import Clip, learn, load, pad
from bench.places import LETTERS
from bench.pooling import Attention, FrameLogits, Mean, One, Two
from bench.pretext import TASKS, Gates, Marker, Shipped, found_letters, gate_of
from pipeline.defects.pretraining import start_model
from pipeline.defects.settings import EncoderSettings, Pretext
from samples.make_mini import LABELS
from speech.text.language import load_language

Scores = dict[str, list[float]]
MARKED = (True, True, True, False)


def variants(shape: tuple[int, int, int, int]) -> dict[str, Callable[[], nn.Module]]:
    """Every head to compare; `shape` is layers, size, width, classes."""
    return {
        "one head, mean": lambda: One(lambda: Mean(*shape)),
        "one head, attention": lambda: One(lambda: Attention(*shape)),
        "one head, attention, last layer": lambda: One(lambda: Attention(1, *shape[1:]), last=True),
        "one head, attention, echo": lambda: One(lambda: Attention(*shape, echo=True)),
        "one head, linear softmax": lambda: One(lambda: FrameLogits(*shape, "linear")),
        "one head, power": lambda: One(lambda: FrameLogits(*shape, "power")),
        "one head, soft maximum": lambda: One(lambda: FrameLogits(*shape, "soft")),
        "two heads, attention": lambda: Two(lambda: Attention(*shape)),
        "two heads, attention, floor 0.1": lambda: Two(lambda: Attention(*shape), floor=0.1),
        "two heads, mean": lambda: Two(lambda: Mean(*shape)),
        "two heads, attention, echo": lambda: Two(
            lambda: Attention(*shape), other=lambda: Attention(*shape, echo=True)
        ),
        "two heads, attention and soft maximum": lambda: Two(
            lambda: Attention(*shape), other=lambda: FrameLogits(*shape, "soft")
        ),
        "two heads, soft maximum": lambda: Two(lambda: FrameLogits(*shape, "soft")),
    }


def train_heads(make: Callable[[], nn.Module], gates: Gates, clips: list[Clip], epochs: int, seed: int) -> nn.Module:
    """A head trained with cross entropy on the gates that a marker gives."""
    torch.manual_seed(seed)
    model = make()

    def loss_of(hidden: torch.Tensor, inside: torch.Tensor, chosen: list[Clip]) -> torch.Tensor:
        labels = torch.tensor([clip.label for clip in chosen])
        gate = gate_of(gates, hidden, inside).clone()  # out of inference mode
        return nn.functional.cross_entropy(model(hidden, gate, inside), labels, label_smoothing=0.05)

    learn(model, clips, epochs, seed, loss_of)
    return model


def learned_marker(
    sizes: tuple[int, int], task: str, clips: list[Clip], seed: int, options: argparse.Namespace
) -> Marker:
    """A marker head that learned from the clips' texts alone."""
    torch.manual_seed(seed)
    marker = Marker(*sizes, task)
    learn(marker, clips, options.epochs, seed, marker.loss)
    return marker


def spread(clips: list[Clip], count: int | None) -> list[Clip]:
    """`count` of the clips, spread evenly over them (they stand in order of their voices); all by default."""
    return clips if count is None else [clips[index * len(clips) // count] for index in range(min(count, len(clips)))]


def shown(values: list[float]) -> str:
    """Mean and deviation over the seeds."""
    return f"{np.mean(values):.3f} ± {np.std(values, ddof=1) if len(values) > 1 else 0.0:.3f}"


@torch.inference_mode()
def score(model: nn.Module, gates: Gates, clips: list[Clip]) -> float:
    """Macro-F1 on clips."""
    answers = []
    for clip in clips:
        hidden, inside = pad([clip.hidden[0]])
        answers.append(int(model(hidden, gate_of(gates, hidden, inside), inside).argmax()))
    return float(f1_score([clip.label for clip in clips], answers, average="macro"))


def picture(scores: Scores, path: Path) -> None:
    """Mean macro-F1 of every variant with its deviation over the seeds, as PNG."""
    figure = Figure(figsize=(8.5, 0.5 + 0.4 * len(scores)), layout="constrained")
    axes = figure.add_subplot()
    names = list(scores)[::-1]
    axes.errorbar(
        [np.mean(scores[name]) for name in names],
        names,
        xerr=[np.std(scores[name], ddof=1) for name in names],
        fmt="o",
        capsize=4,
    )
    axes.set(xlabel="macro-F1, unheard voices: mean and deviation of the seeds")
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Compare pretext tasks and heads on a frozen encoder.")
    parser.add_argument("--corpus", type=Path, default=Path("var/bench/corpus.zip"))
    parser.add_argument("--encoder", default="encoders/small")
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--copies", type=int, default=2, help="augmented copies of each training clip; 0: none")
    parser.add_argument("--only", default="", help="variants whose name contains this")
    parser.add_argument("--pretext", action="store_true", help="learn the letters too, task by task")
    parser.add_argument("--judged-by", default="two heads, attention, echo", help="the head that pretext tasks gate")
    parser.add_argument("--clips", type=int, help="so many training clips only, evenly of the classes and voices")
    parser.add_argument("--picture", type=Path, help="PNG to draw the heads' scores into")
    options = parser.parse_args()
    settings = EncoderSettings(name=options.encoder, pretext=Pretext.letters)
    start = start_model(settings, LABELS, LETTERS, MARKED, alphabet=load_language("ru").alphabet).eval()
    clips = load(options.corpus, start, options.copies, seed=1)
    training, test = [c for c in clips if c.split != "test"], [c for c in clips if c.split == "test"]
    layers, _, size = clips[0].hidden[0].shape
    training = spread(training, options.clips)
    gates = Shipped(start.marker_head)
    heads = variants((layers, size, 128, len(LABELS)))
    print(f"{len(training)} training clips, {len(test)} test clips", flush=True)
    for task in ("as shipped", *TASKS) if options.pretext else ():
        found, told = [], []
        for seed in range(options.seeds):
            marker = gates if task == "as shipped" else learned_marker((layers, size), task, training, seed, options)
            found.append(found_letters(marker, test))
            model = train_heads(heads[options.judged_by], marker, training, options.epochs, seed)
            told.append(score(model, marker, test))
        print(f"pretext {task:18} letters within 50 ms {shown(found)}   macro-F1 {shown(told)}", flush=True)
    scores: Scores = {}
    for name, make in heads.items():
        if options.only not in name:
            continue
        models = [train_heads(make, gates, training, options.epochs, seed) for seed in range(options.seeds)]
        scores[name] = [score(model, gates, test) for model in models]
        print(f"{name:38} macro-F1 {shown(scores[name])}", flush=True)
    if options.picture:
        picture(scores, options.picture)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
