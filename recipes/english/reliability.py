"""How well confidences hold: figures of speakers left out of the fit, as a table and as reliability diagrams."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from asr.align.segment import ALIGNED, HEARD, RECOGNISED
from asr.training.data import Utterance
from recipes.english.calibration import area_under_roc, calibration_error, fit, reliability

FOLDS = 8  # of the speakers
Key = tuple[str, str]  # calibration, search
DEFAULT = RECOGNISED, "lexicon"


@dataclass
class Sample:
    """Words with what speaks for them, and whether they are right."""

    rows: list[tuple[float, ...]] = field(default_factory=list)
    right: list[bool] = field(default_factory=list)
    plain: list[float] = field(default_factory=list)  # the confidence without a calibration
    of: list[Utterance] = field(default_factory=list)
    text: list[int] = field(default_factory=list)  # number of the text that the word stands in

    def add(self, utterance: Utterance, rows: Sequence[tuple], right: Sequence[bool], plain: Sequence[float]) -> None:
        self.text += [self.text[-1] + 1 if self.text else 0] * len(rows)
        self.rows += rows
        self.right += right
        self.plain += plain
        self.of += [utterance] * len(rows)


def cross_validated(sample: Sample) -> np.ndarray:
    """The confidence (N,) of every word by a fit that has not seen its speaker."""
    rows, right, speakers = np.array(sample.rows), np.array(sample.right), [u.speaker for u in sample.of]
    names = sorted(set(speakers))
    fold = {name: k % FOLDS for k, name in enumerate(np.random.default_rng(0).permutation(names).tolist())}
    number = np.array([fold[s] for s in speakers])
    found = np.zeros(len(rows))
    for k in range(FOLDS):
        found[number == k] = fit(rows[number != k], right[number != k])(rows[number == k])
    return found


def report(samples: dict[Key, Sample], held_out: dict[Key, np.ndarray], latency: float | None) -> str:
    lines = [f"Confidence of words, speakers held out{f', {latency:.0f} ms' if latency else ''}\n"]
    lines += ["| confidence | words | right | expected calibration error | without calibration | area under ROC |"]
    lines += ["|---|--:|--:|--:|--:|--:|"]
    for key, sample in samples.items():
        corpora = dict.fromkeys(u.corpus for u in sample.of) if key in (DEFAULT, (ALIGNED, "")) else ()
        lines += [_row(key, sample, held_out[key], corpus) for corpus in ("", *corpora)]
    lines += ["\nReliability of the default search:\n", "| words | confidence | right |", "|--:|--:|--:|"]
    bins = reliability(held_out[DEFAULT], np.array(samples[DEFAULT].right))
    lines += [f"| {n} | {c:.2f} | {r:.2f} |" for n, c, r in bins]
    return "\n".join([*lines, "", _said(samples[ALIGNED, ""], held_out[ALIGNED, ""]), ""])


def _row(key: Key, sample: Sample, confidence: np.ndarray, corpus: str) -> str:
    some = np.array([not corpus or u.corpus == corpus for u in sample.of])
    confidence, right, plain = confidence[some], np.array(sample.right)[some], np.array(sample.plain)[some]
    figures = *(calibration_error(c, right) for c in (confidence, plain)), area_under_roc(confidence, right)
    cells = [" ".join(filter(None, (*key, corpus))), len(right), f"{right.mean():.2f}"]
    return "| " + " | ".join(map(str, [*cells, *(f"{x:.3f}" for x in figures)])) + " |"


def _said(sample: Sample, confidence: np.ndarray) -> str:
    """Error rates of the threshold 0.5 on words and on whole texts."""
    right, text = np.array(sample.right), np.array(sample.text)
    texts = [text == number for number in range(sample.text[-1] + 1)]
    means = [(right[t].mean(), confidence[t].mean()) for t in texts]
    missed, taken = ([mean for share, mean in means if share == wanted] for wanted in (1, 0))
    return (
        f"Words that were said, below 0.5: {100 * (confidence[right] < 0.5).mean():.1f} %; words that were not, above: "
        f"{100 * (confidence[~right] >= 0.5).mean():.1f} %. Whole texts, by the mean of their words: "
        f"{100 * np.mean(np.array(missed) < 0.5):.1f} and {100 * np.mean(np.array(taken) >= 0.5):.1f} %."
    )


def draw(samples: dict[Key, Sample], held_out: dict[Key, np.ndarray], path: Path) -> None:
    """Reliability diagrams: with and without calibration."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    shown = [key for key in samples if key[0] != HEARD]
    figure, axes = plt.subplots(1, len(shown), figsize=(3.6 * len(shown), 4.4), squeeze=False, layout="constrained")
    for panel, key in zip(axes[0], shown):
        sample, right = samples[key], np.array(samples[key].right)
        panel.plot([0, 1], [0, 1], color="0.7", linewidth=1)
        errors = []
        for values in (np.array(sample.plain), held_out[key]):
            _, confidence, accuracy = zip(*reliability(values, right))
            panel.plot(confidence, accuracy, marker="o")
            errors.append(f"{calibration_error(values, right):.3f}")
        panel.set(title=f"{' '.join(key)}\nerror {' -> '.join(errors)}", xlabel="confidence")
        panel.set(xlim=(0, 1), ylim=(0, 1), aspect=1, ylabel="share of right words")
    figure.legend(axes[0, 0].lines[1:], ["plain", "calibrated"], loc="outside lower center", ncols=2)
    figure.savefig(path, dpi=100)
    plt.close(figure)
