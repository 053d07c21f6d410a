"""A run's log: one line for each evaluation, as CSV, as curves, and for TensorBoard where that is installed."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from asr.files import atomic_write_bytes


class RunLog:
    """Appends rows to log.csv and redraws curves.png (where matplotlib is installed).

    A run that goes on from ``update`` writes the rows after it again: those that are there already are dropped.
    """

    def __init__(self, folder: Path, update: int = 0, active: bool = True):
        self.path, self.active = folder / "log.csv", active
        if active and self.path.exists():
            self._drop_after(update)
        self._board = _board(folder / "tensorboard", update) if active else None

    def add(self, **row: float) -> None:
        if not self.active:
            return
        header = self.path.read_text().split("\n", 1)[0].split(",") if self.path.exists() else []
        with self.path.open("a", newline="") as file:
            writer = csv.DictWriter(file, header or row)
            if not header:
                writer.writeheader()
            writer.writerow({k: f"{v:.6g}" for k, v in row.items()})
        if self._board:
            for name in row.keys() - {"update"}:
                self._board.add_scalar(name, row[name], int(row["update"]))
            self._board.flush()
        self.say("  ".join(f"{k} {v:.4g}" for k, v in row.items()))
        draw_curves(self.path)

    def _drop_after(self, update: int) -> None:
        with self.path.open(newline="") as file:
            rows = list(csv.reader(file))
        known = [row for row in rows[1:] if len(row) == len(rows[0]) and float(row[0]) <= update]
        if not known:
            self.path.unlink()
        elif len(known) < len(rows) - 1:
            text = io.StringIO()
            csv.writer(text).writerows([rows[0], *known])
            atomic_write_bytes(self.path, text.getvalue().encode())

    def say(self, text: str) -> None:
        if self.active:
            print(text, flush=True)


def _board(folder: Path, update: int):
    """A TensorBoard writer that goes on after an update, or None where the package is missing."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=update + 1)


def draw_curves(path: Path) -> None:
    try:
        import matplotlib
    except ImportError:
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot

    with path.open() as file:
        rows = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
    updates = [r["update"] for r in rows]
    figure, axes = pyplot.subplots(3, 1, figsize=(8, 9), sharex=True, layout="constrained")
    for name in ("loss", "phoneme_loss", "dev_loss"):
        axes[0].plot(updates, [r[name] for r in rows], label=name.replace("_", " "))
    axes[0].set_ylabel("CTC loss per frame")
    axes[0].legend()
    axes[1].plot(updates, [100 * r["dev_wer"] for r in rows])
    axes[1].set_ylabel("dev WER, greedy (%)")
    axes[2].semilogy(updates, [r["learning_rate"] for r in rows], label="learning rate")
    axes[2].semilogy(updates, [r["gradient"] for r in rows], label="gradient norm")
    axes[2].legend()
    axes[2].set_xlabel("update")
    for a in axes:
        a.grid(alpha=0.3)
    figure.savefig(path.with_name("curves.png"), dpi=110)
    pyplot.close(figure)
