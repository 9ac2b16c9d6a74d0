"""Training runs of a small network on records of three kinds, for tests to share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .learning import perceptron

KINDS = ("ash", "birch", "cedar")
INPUTS, HIDDEN, RECORDS = 4, 8, 120


@dataclass(frozen=True)
class Shop:
    """A folder with a model and its records in several forms."""

    folder: Path
    model: Path
    arrays: Path
    table: Path
    held_back: Path
    x: np.ndarray
    y: np.ndarray


def records(count: int = RECORDS, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Inputs [count, INPUTS] around three centres, and which one it is."""
    centres = np.random.default_rng(0).normal(size=(len(KINDS), INPUTS)) * 1.5
    rng = np.random.default_rng((1, seed))
    y = rng.integers(0, len(KINDS), count)
    x = centres[y] + 0.5 * rng.normal(size=(count, INPUTS))
    return x.astype(np.float32), y


def write_table(path: Path, x: np.ndarray, y: np.ndarray) -> Path:
    """A table with a line of names, and a last column of texts."""
    lines = [",".join([*(f"leaf {n}" for n in range(x.shape[1])), "kind"])]
    lines += [",".join([*(f"{v:.5f}" for v in row), KINDS[k]]) for row, k in zip(x, y, strict=True)]
    path.write_text("\n".join(lines) + "\n")
    return path


def shop(folder: Path) -> Shop:
    """A model of two layers (model.onnx), train.npz, train.csv, and test.csv without an ash."""
    x, y = records()
    model = folder / "model.onnx"
    model.write_bytes(perceptron(INPUTS, HIDDEN, len(KINDS)).SerializeToString())
    np.savez(folder / "train.npz", x=x, y=y)
    beside = records(60, seed=1)
    kept = beside[1] != 0
    return Shop(
        folder,
        model,
        folder / "train.npz",
        write_table(folder / "train.csv", x, y),
        write_table(folder / "test.csv", beside[0][kept], beside[1][kept]),
        x,
        y,
    )
