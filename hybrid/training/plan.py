"""What a training run is asked to do, from Python, a command line or a TOML file."""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from ...circuits.files import read_limited
from ...circuits.training.losses import (
    BinaryCrossEntropy,
    CrossEntropy,
    Loss,
    MeanSquaredError,
)
from ...circuits.training.optimisers import SGD, Adam, Optimiser
from ...circuits.training.program import FILE, SEED
from ...circuits.training.schedule import KINDS, Schedule
from ...circuits.training.step import BATCH, FROZEN, Recipe
from ...prover.options import profile_of
from ...verifier.errors import UsageError
from ...verifier.quoting import listed, quoted_path

PLAN_MAX = 1 << 20
"""Bytes of a TOML file."""

STRICT_MOST = 4
"""Strict receipts of a run: each has 102 bits, whatever is claimed, and their errors are added."""

LOSSES = ("cross-entropy", "mse", "binary-cross-entropy")
OPTIMISERS = ("sgd", "adam", "adamw")
BATCH_NORMS = (BATCH, FROZEN)
DROPOUTS = (FILE, "none")
LEAST = {
    "batch": 1, "steps": 1, "rehearsal": 2, "receipt_every": 1, "warmup": 0, "step_every": 1,
}  # fmt: skip
"""Of what is counted, the least."""


@dataclass(frozen=True)
class Part:
    """The steps of a receipt, and its mode."""

    first: int
    count: int
    mode: str


@dataclass(frozen=True)
class Plan:
    """A training run, but for its model and data.

    Args:
        loss: `cross-entropy`, `mse` or `binary-cross-entropy`, of the first output.
        label_smoothing: of cross-entropy: this share of a target is spread over all classes.
        optimizer: `sgd`, `adam` or `adamw`.
        lr: the highest learning rate.
        momentum, nesterov: of sgd.
        betas: of adam and adamw.
        weight_decay: of sgd as a part of the gradient, of adamw apart from it.
        schedule: `constant`, `step` (times `step_factor` after every `step_every` steps), `cosine`.
        warmup: so many steps rise to `lr` in a line.
        step_every, step_factor: of the schedule `step`.
        batch: records of a step.
        steps: of the whole run.
        clip_value: each element of a gradient within ± this.
        clip_norm: the norm of all gradients together at most this.
        freeze: patterns of names of constants that stay as they are.
        batch_norm: `batch`: a BatchNormalization goes by its batch and keeps running statistics
            for the model that is served (one whose gains or offsets are frozen does not);
            `frozen`: it goes by those of the file.
        dropout: `file`: Dropout nodes of the model drop in training; `none`: they do not.
        loss_output: name of another output that the loss is of.
        start: `seed` draws the first weights from the seed; `file` takes those of the model.
        nonce: a verifier's challenge, from which the seed follows, in hex; None: it follows from
            program and data set alone.
        precision: bits of what products read, `int8` or `int16`.
        rehearsal: float steps from which the ranges of all values are found.
        mode: of the receipts, `fast`, `hybrid` or `strict`.
        delta: of the receipts, at most this share of the compute is wrong (not strict).
        receipt_every: steps of a receipt; None: one receipt for the whole run.
        strict_steps: `A:B`, steps A to B − 1 get a strict receipt of their own.
        small: receipts are smaller, and take longer.
        foldable: proofs of receipts can be verified inside a proof; not with `small`.
        succinct: the receipt is foldable, and compressed at the end; there is only one.
        reveal: a fast receipt may show records and weights in the clear.
        outputs: of the steps, the loss among them: `published` in the receipts, or `hidden`: then
            those of single steps can be shown later.

    Raises:
        UsageError: a value that is none of those, or out of its range.
    """

    loss: str = "cross-entropy"
    label_smoothing: float = 0.0
    optimizer: str = "sgd"
    lr: float = 0.1
    momentum: float = 0.9
    nesterov: bool = False
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    schedule: str = "constant"
    warmup: int = 0
    step_every: int = 1
    step_factor: float = 0.1
    batch: int = 64
    steps: int = 600
    clip_value: float | None = None
    clip_norm: float | None = None
    freeze: tuple[str, ...] = ()
    batch_norm: str = BATCH
    dropout: str = FILE
    loss_output: str | None = None
    start: str = SEED
    nonce: str | None = None
    precision: Literal["int8", "int16"] = "int8"
    rehearsal: int = 150
    mode: str = "hybrid"
    delta: float | None = None
    receipt_every: int | None = None
    strict_steps: str | None = None
    small: bool = False
    foldable: bool = False
    succinct: bool = False
    reveal: bool = False
    outputs: Literal["published", "hidden"] = "published"

    def __post_init__(self) -> None:
        _one_of("loss", self.loss, LOSSES)
        _one_of("optimizer", self.optimizer, OPTIMISERS)
        _one_of("schedule", self.schedule, KINDS)
        _one_of("start", self.start, (SEED, FILE))
        _one_of("batch_norm", self.batch_norm, BATCH_NORMS)
        _one_of("dropout", self.dropout, DROPOUTS)
        _one_of("precision", self.precision, ("int8", "int16"))
        _one_of("mode", self.mode, ("fast", "hybrid", "strict"))
        _one_of("outputs", self.outputs, ("published", "hidden"))
        for name, least in LEAST.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise UsageError(f"{name} is out of range", expected=f"≥ {least}", received=value)
        for name in ("lr", "clip_value", "clip_norm"):
            value = getattr(self, name)
            if value is not None and not 0.0 < value < float("inf"):
                raise UsageError(f"{name} is out of range", expected="above 0", received=value)
        for name in ("momentum", "label_smoothing"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise UsageError(
                    f"{name} is out of range", expected="0 to 1", received=getattr(self, name)
                )
        if not all(0.0 < beta < 1.0 for beta in self.betas):
            raise UsageError("betas are out of range", expected="0 to 1", received=self.betas)
        if not 0.0 < self.step_factor <= 1.0:
            raise UsageError(
                "step_factor is out of range", expected="above 0, to 1", received=self.step_factor
            )
        if not 0.0 <= self.weight_decay < float("inf"):
            raise UsageError(
                "weight_decay is out of range", expected="≥ 0", received=self.weight_decay
            )
        profile = profile_of(self.small, self.foldable, self.succinct)
        if profile and self.mode == "fast":
            raise UsageError(
                "small, foldable and succinct are not about fast receipts", received="mode fast"
            )
        self.nonce_bytes()
        if self.succinct and len(self.parts()) > 1:
            raise UsageError(
                "several succinct receipts of a run have fewer than 100 bits together",
                expected="one receipt (no receipt_every, no strict_steps)",
                received=f"{len(self.parts())} receipts",
                hint="make foldable ones, which zktally compress folds one by one",
            )
        strict = sum(part.mode == "strict" for part in self.parts())
        if strict > STRICT_MOST:
            raise UsageError(
                "so many strict receipts have fewer than 100 bits together",
                expected=f"at most {STRICT_MOST}",
                received=strict,
                hint="make longer ones (receipt_every), or hybrid ones, which claim more each",
            )

    def nonce_bytes(self) -> bytes | None:
        """The nonce.

        Raises:
            UsageError: it is not hex, or not 1 to 64 bytes.
        """
        if self.nonce is None:
            return None
        try:
            found = bytes.fromhex(self.nonce.removeprefix("0x"))
        except ValueError:
            found = b""
        if not 1 <= len(found) <= 64:
            raise UsageError("the nonce is no hex", expected="1 to 64 bytes", received=self.nonce)
        return found

    def parts(self) -> list[Part]:
        """The steps of each receipt, in their order.

        Raises:
            UsageError: strict steps that are none of the run.
        """
        every = self.receipt_every or self.steps
        ends = {*range(every, self.steps, every), self.steps}
        strict = range(0)
        if self.strict_steps is not None:
            strict = _stretch(self.strict_steps, self.steps)
            ends |= {strict.start, strict.stop} - {0}
        firsts = [0, *sorted(ends)]
        return [
            Part(first, end - first, "strict" if first in strict else self.mode)
            for first, end in itertools.pairwise(firsts)
        ]

    def recipe(self) -> Recipe:
        """How a step is made."""
        losses: dict[str, Loss] = {
            "cross-entropy": CrossEntropy(self.label_smoothing),
            "mse": MeanSquaredError(),
            "binary-cross-entropy": BinaryCrossEntropy(),
        }
        return Recipe(
            losses[self.loss],
            self.optimiser(),
            self.loss_output,
            self.freeze,
            self.clip_value,
            self.clip_norm,
            self.batch_norm,
            self.dropout == FILE,
        )

    def optimiser(self) -> Optimiser:
        """What moves the parameters."""
        if self.optimizer == "sgd":
            return SGD(self.momentum, self.nesterov, self.weight_decay)
        decay = self.weight_decay if self.optimizer == "adamw" else 0.0
        return Adam(*self.betas, weight_decay=decay)

    def rates(self) -> Schedule:
        """The learning rate of each step."""
        return Schedule(
            self.lr, self.steps, self.schedule, self.warmup, self.step_every, self.step_factor
        )


def _stretch(text: str, steps: int) -> range:
    """The steps of `A:B`."""
    first, colon, end = text.partition(":")
    if colon and first.isdecimal() and end.isdecimal() and int(first) < int(end) <= steps:
        return range(int(first), int(end))
    raise UsageError(
        "strict_steps are no steps of the run", expected=f"A:B, A < B ≤ {steps}", received=text
    )


@dataclass(frozen=True)
class Sources:
    """The files that a TOML file names: model and data, and which array of it holds labels."""

    model: Path | None = None
    data: Path | None = None
    labels: str | None = None
    evaluation: Path | None = None


FILES = ("model", "data", "labels", "evaluation")


def read_plan(path: str | Path) -> tuple[Plan, Sources]:
    """A plan and its files from TOML; paths are relative to the file's folder.

    Raises:
        UsageError: `usage.unreadable`; no TOML, a key or a value that is none of a plan's.
    """
    try:
        text = read_limited(path, PLAN_MAX).decode("utf-8")
        found = tomllib.loads(text)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(
            f"{quoted_path(path)} is not TOML: {error}", code="usage.unreadable"
        ) from error
    folder = Path(path).parent
    named = {name: found.pop(name) for name in FILES if name in found}
    for name, value in named.items():
        if not isinstance(value, str):
            raise UsageError(f"{name} has a value of another kind", received=repr(value))
    paths = {name: folder / named[name] for name in FILES if name in named and name != "labels"}
    sources = Sources(labels=named.get("labels"), **paths)
    return with_values(Plan(), found), sources


def with_values(plan: Plan, values: Mapping[str, Any]) -> Plan:
    """The plan with other values by name.

    Raises:
        UsageError: a name, a type or a value that is none of a plan's.
    """
    kinds = {each.name for each in fields(Plan)}
    unknown = sorted(set(values) - set(kinds))
    if unknown:
        raise UsageError(f"no such setting: {listed(unknown)}", expected=listed(sorted(kinds)))
    return replace(plan, **{name: _typed(name, value) for name, value in values.items()})


_LISTS = {"freeze": str, "betas": float}
_TEXTS = {
    "loss", "optimizer", "schedule", "loss_output", "start", "nonce", "precision", "mode",
    "strict_steps",
    "batch_norm", "dropout", "outputs",
}  # fmt: skip
_WHOLE = {"warmup", "step_every", "batch", "steps", "rehearsal", "receipt_every"}
_TRUTHS = {"nesterov", "small", "foldable", "succinct", "reveal"}


def _typed(name: str, value: Any) -> Any:
    """A value of the type that a setting has."""
    if name in _LISTS:
        kind = _LISTS[name]
        parts = [value] if isinstance(value, str) else value
        good = isinstance(parts, list | tuple) and all(
            isinstance(part, (int, float) if kind is float else str) for part in parts
        )
        if good and (name != "betas" or len(parts) == 2):
            return tuple(kind(part) for part in parts)
    elif name in _TEXTS:
        if value is None or isinstance(value, str):
            return value
    elif name in _TRUTHS:
        if isinstance(value, bool):
            return value
    elif name in _WHOLE:
        if value is None or (isinstance(value, int) and not isinstance(value, bool)):
            return value
    elif value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return None if value is None else float(value)
    raise UsageError(f"{name} has a value of another kind", received=repr(value))


def _one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise UsageError(f"no such {name}", expected=" or ".join(known), received=value)
