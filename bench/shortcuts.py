"""Whether a corpus gives its classes away: what classifiers reach that do not hear the defect.

    python -m bench.shortcuts --corpus var/bench/corpus.zip

Text alone, duration alone, the speaker alone, by macro-F1 on the test split beside majority and guessing. A shortcut is
near chance where its answers do no better than on shuffled labels: its score lies within the middle 95% of them. Where
every sentence comes in every class, text has nothing to go by, gives one answer to all and scores as the majority does.

The speaker is known by an embedding of the speaker's other clips: mean and deviation of MFCC over their frames of
speech, averaged over `OTHERS` clips of each class. That is timbre and channel without order, pauses or tempo. It
leaves out the clip itself, in which the defect would be heard, and takes all classes alike, for else what is left out
would tell. That it holds the speaker at all is printed too: how often the nearest embedding of other clips is the
same speaker's.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from bench.mfcc import Clip, load

SEEDS = range(5)
PERMUTATIONS = 1000
INTERVAL = (2.5, 97.5)  # percentiles
OTHERS = 4  # clips of each class in an embedding
LEVEL = 0  # the coefficient that is the level, by which frames of speech are found

Shortcut = Callable[[Sequence[Clip], Sequence[Clip], int], np.ndarray]
"""Answers (test clips,) after training on the first clips, for the second, with a seed."""


@dataclass(frozen=True)
class Verdict:
    """Macro-F1 (mean and deviation over seeds), the middle 95% of it on shuffled labels, and the share of shuffles
    that reach it."""

    score: float
    deviation: float
    low: float
    high: float
    p: float

    @property
    def near_chance(self) -> bool:
        """Whether the score is no better than on shuffled labels."""
        return self.score <= self.high


def by_text(train: Sequence[Clip], test: Sequence[Clip], seed: int) -> np.ndarray:
    """Logistic regression on n-grams of one to four characters."""
    grams = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 4))
    model = make_pipeline(grams, LogisticRegression(C=10.0, max_iter=1000, class_weight="balanced"))
    return model.fit([clip.text for clip in train], _labels(train)).predict([clip.text for clip in test])


def by_duration(train: Sequence[Clip], test: Sequence[Clip], seed: int) -> np.ndarray:
    """A random forest, for a class might have both the shortest and the longest clips."""
    forest = RandomForestClassifier(200, min_samples_leaf=10, class_weight="balanced", random_state=seed)
    forest.fit([[clip.seconds] for clip in train], _labels(train))
    return forest.predict([[clip.seconds] for clip in test])


def by_speaker(train: Sequence[Clip], test: Sequence[Clip], seed: int) -> np.ndarray:
    """A support vector machine on embeddings of the speakers' other clips, which the seed draws."""
    rng = np.random.default_rng(seed)
    machine = make_pipeline(StandardScaler(), SVC(class_weight="balanced"))
    return machine.fit(embeddings(train, rng), _labels(train)).predict(embeddings(test, rng))


SHORTCUTS: dict[str, Shortcut] = {"text": by_text, "duration": by_duration, "speaker": by_speaker}


def embeddings(clips: Sequence[Clip], rng: np.random.Generator) -> np.ndarray:
    """(clips, 26): for each clip its speaker as heard in other clips; zeros for a speaker's only clip."""
    voices = np.stack([voice(clip.mfcc) for clip in clips])
    labels, speakers = _labels(clips), np.array([clip.speaker for clip in clips])
    found = np.zeros_like(voices)
    for index, clip in enumerate(clips):
        others = (speakers == clip.speaker) & (np.arange(len(clips)) != index)
        of_classes = [np.flatnonzero(others & (labels == label)) for label in np.unique(labels[others])]
        drawn = [rng.choice(group, min(OTHERS, len(group)), replace=False) for group in of_classes]
        if drawn:
            found[index] = np.mean([voices[group].mean(0) for group in drawn], axis=0)
    return found


def voice(frames: np.ndarray) -> np.ndarray:
    """Mean and deviation (26,) of MFCC (frames, 13) over the louder half, which is speech; the mean level, which is the
    recording's, is taken out."""
    level = frames[:, LEVEL]
    speech = frames[level >= np.median(level)]
    mean = speech.mean(0)
    mean[LEVEL] = 0.0
    return np.concatenate([mean, speech.std(0)])


def speaker_found(clips: Sequence[Clip], seed: int = 0) -> float:
    """How often the embedding of one half of a speaker's clips is nearest to that of the other half."""
    rng = np.random.default_rng(seed)
    names = sorted({clip.speaker for clip in clips})
    voices = [rng.permutation(np.stack([voice(c.mfcc) for c in clips if c.speaker == name])) for name in names]
    scale = np.mean([group.std(0) for group in voices], axis=0) + 1e-9  # how far the clips of one speaker differ
    known, asked = (np.stack([group[half::2].mean(0) for group in voices]) / scale for half in (0, 1))
    distance = ((asked[:, None] - known[None]) ** 2).sum(-1)
    return float(np.mean(distance.argmin(1) == np.arange(len(names))))


def judge(shortcut: Shortcut, train: Sequence[Clip], test: Sequence[Clip], seeds: Sequence[int] = SEEDS) -> Verdict:
    """What a shortcut reaches; the labels are shuffled alike for the answers of all seeds."""
    answers = [shortcut(train, test, seed) for seed in seeds]
    truth, rng = _labels(test), np.random.default_rng(0)
    scores = np.array([macro_f1(truth, answer) for answer in answers])
    null = np.array([
        np.mean([macro_f1(shuffled, answer) for answer in answers])
        for shuffled in (rng.permutation(truth) for _ in range(PERMUTATIONS))
    ])  # fmt: skip
    low, high = np.percentile(null, INTERVAL)
    reached = (1 + int(np.sum(null >= scores.mean() - 1e-12))) / (1 + PERMUTATIONS)
    return Verdict(float(scores.mean()), float(scores.std()), float(low), float(high), reached)


def guessing(test: Sequence[Clip], classes: Sequence[str]) -> tuple[float, float, float]:
    """(mean, low, high) of macro-F1 where every answer is drawn from the classes alike."""
    truth, rng = _labels(test), np.random.default_rng(0)
    drawn = np.array([macro_f1(truth, rng.choice(classes, len(truth))) for _ in range(PERMUTATIONS)])
    low, high = np.percentile(drawn, INTERVAL)
    return float(drawn.mean()), float(low), float(high)


def macro_f1(truth: np.ndarray, answers: np.ndarray) -> float:
    """Over the classes that there are in the truth; counted here, for it is needed some ten thousand times."""
    there = np.unique(truth)[:, None]
    true, said = truth == there, answers == there
    return float(np.mean(2 * (true & said).sum(1) / (true.sum(1) + said.sum(1))))


def _labels(clips: Sequence[Clip]) -> np.ndarray:
    return np.array([clip.label for clip in clips])


def report(clips: Sequence[Clip]) -> None:
    """Prints every shortcut for each group of the test split, trained on those training clips whose class it has."""
    heard = [clip for clip in clips if clip.split != "test"]
    print(f"the speaker's embedding finds {speaker_found(heard):.0%} of {len({c.speaker for c in heard})} speakers")
    for group in sorted({clip.group for clip in clips if clip.split == "test"}):
        test = [clip for clip in clips if clip.split == "test" and clip.group == group]
        truth = _labels(test)
        names, counts = np.unique(truth, return_counts=True)
        majority = macro_f1(truth, np.full(len(truth), names[counts.argmax()]))
        train = [clip for clip in heard if clip.label in names]
        mean, low, high = guessing(test, names.tolist())
        print(f"{group}: {len(test)} test clips of {', '.join(names)}; macro-F1 of")
        print(f"  majority  {majority:.3f}")
        print(f"  guessing  {mean:.3f}          ({low:.3f} to {high:.3f})")
        for name, shortcut in SHORTCUTS.items():
            found = judge(shortcut, train, test)
            said = "near chance" if found.near_chance else "NOT near chance"
            print(
                f"  {name:9} {found.score:.3f} ± {found.deviation:.3f}  "
                f"(shuffled {found.low:.3f} to {found.high:.3f}, p {found.p:.3f}): {said}"
            )


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="What text, duration and speaker alone tell of a corpus's classes.")
    parser.add_argument("--corpus", type=Path, default=Path("var/bench/corpus.zip"))
    report(load(parser.parse_args().corpus))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
