"""Training from Python: `train`, and what it gives."""

from __future__ import annotations

import copy
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .api import Backend, Receipt, verify_chain
from .circuits import native
from .circuits.arguments import names_of, real, shown
from .circuits.evaluate import integer_run
from .circuits.model import CompiledModel
from .circuits.source import ModelLike
from .circuits.training.losses import class_axis
from .display import showing
from .hybrid.training.plan import Plan, with_values
from .hybrid.training.run import Report, Trained
from .hybrid.training.run import train as run_training
from .prover import HeldOutputs, Progress, RunState
from .verifier.chain import VerifiedRun
from .verifier.errors import UsageError
from .verifier.inputs import Saturated
from .verifier.labels import as_bytes, parse
from .verifier.notebook import table
from .verifier.policy import Policy
from .verifier.quoting import quoted


@dataclass(frozen=True)
class SGD:
    """Gradient descent as in torch: v ← momentum·v + g, p ← p − lr·v.

    With `nesterov` p moves by g + momentum·v; `weight_decay` times p is added to g.
    """

    lr: float = 0.1
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0

    def values(self) -> dict[str, Any]:
        """As settings of a plan."""
        return {"optimizer": "sgd", **vars(self)}


@dataclass(frozen=True)
class Adam:
    """Adam (Kingma and Ba, algorithm 1)."""

    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)

    def values(self) -> dict[str, Any]:
        """As settings of a plan."""
        return {"optimizer": "adam", **vars(self)}


@dataclass(frozen=True)
class AdamW:
    """Adam with weight decay apart from the gradient (Loshchilov and Hutter, algorithm 2)."""

    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.01

    def values(self) -> dict[str, Any]:
        """As settings of a plan."""
        return {"optimizer": "adamw", **vars(self)}


class TrainingRun:
    """A run that was trained and proven.

    Args:
        trained: what the run gave.
    """

    def __init__(self, trained: Trained) -> None:
        self._trained = trained

    @property
    def receipts(self) -> tuple[Receipt, ...]:
        """One, or one for every `receipt_every` steps; each goes on where the last one ended."""
        return tuple(Receipt(data) for data in self._trained.receipts)

    @property
    def receipt(self) -> Receipt:
        """The receipt of a run that has one.

        Raises:
            UsageError: it has several.
        """
        if len(self._trained.receipts) > 1:
            raise UsageError(
                "the run has several receipts", expected="run.receipts", received="run.receipt"
            )
        return self.receipts[0]

    @property
    def held_outputs(self) -> tuple[HeldOutputs, ...]:
        """Of each receipt with hidden outputs, what it takes to show them: secret. Else empty."""
        return self._trained.held

    @property
    def losses(self) -> npt.NDArray[np.float64]:
        """The loss of each step, [steps]: as the receipts state them.

        One that was larger than their range stands as its end; see `saturated`.
        """
        return self._trained.losses

    @property
    def saturated(self) -> tuple[Saturated, ...]:
        """What came to the ends of its range, or beyond, and counts as them.

        Data (by name), losses (`loss`), parameters and states of the optimiser at the end.
        """
        return self._trained.saturated

    @property
    def program(self) -> CompiledModel:
        """The steps: what a verifier's `model_id` names."""
        return self._trained.program

    @property
    def model_id(self) -> bytes:
        """Of the steps, 32 bytes."""
        return self._trained.model_id

    @property
    def dataset_root(self) -> bytes:
        """Of the data set, 32 bytes."""
        return self._trained.dataset_root

    @property
    def state(self) -> RunState:
        """In which the run ended; it holds secrets."""
        return self._trained.state

    def records(
        self, inputs: npt.ArrayLike | Mapping[str, npt.ArrayLike], labels: npt.ArrayLike
    ) -> dict[str, npt.NDArray[np.integer[Any]]]:
        """Records as the integers that the steps read: what `zktally dataset-root` takes.

        Args:
            inputs: [records, ...], by input name where there are several.
            labels: [records, ...].

        Returns:
            Arrays [records, ...] by the names of the data tensors.

        Raises:
            UsageError: `usage.input`, values that do not fit.
        """
        return self._trained.integers(_arrays(inputs), np.asarray(labels))

    def parameters(self) -> dict[str, npt.NDArray[np.float64]]:
        """The trained parameters as floats, by their names in the model file."""
        return self._trained.parameters()

    def verify(
        self,
        policy: Policy | None = None,
        *,
        nonce: bytes | str | None = None,
        backend: Backend = "rust",
    ) -> VerifiedRun:
        """Judge the run's own receipts, as `verify_chain` does for those who got them.

        Raises:
            VerificationFailed: judged and refused.
        """
        return verify_chain(
            self.receipts,
            self.model_id,
            policy,
            dataset_root=self.dataset_root,
            nonce=nonce,
            backend=backend,
        )

    def export(self) -> CompiledModel:
        """The trained model: its id follows from the last receipt. It holds secrets of the run."""
        return self._exported

    @cached_property
    def _exported(self) -> CompiledModel:
        return self._trained.export()

    def predict(self, inputs: npt.ArrayLike | Mapping[str, npt.ArrayLike]) -> dict[str, Any]:
        """Outputs of the trained integer model by name, [items, ...], for items [items, ...]."""
        model = self._exported
        program = model.checked.program
        given = inputs if isinstance(inputs, Mapping) else {program.inputs[0].name: inputs}
        arrays = {name: np.asarray(array) for name, array in given.items()}
        execute, parts = native.executor(model.checked, model.weights), []
        for item in range(len(next(iter(arrays.values())))):
            one = {name: array[item : item + 1] for name, array in arrays.items()}
            parts.append(integer_run(program, model.weights, one, execute))
        return {
            port.name: np.concatenate([part[port.tensor] - port.zero for part in parts])
            * port.scale
            for port in program.outputs
        }

    def accuracy(
        self, inputs: npt.ArrayLike | Mapping[str, npt.ArrayLike], labels: npt.ArrayLike
    ) -> float:
        """The share of items whose largest output is that of the right class.

        Args:
            inputs: as of `predict`.
            labels: classes as in training, one for each item (of images, for each pixel).

        Raises:
            UsageError: `usage.input`: the run was trained on something else than classes, or the
                labels are not of the shape of the items.
        """
        if not self._trained.classifies:
            raise UsageError(
                "only what is trained on classes has an accuracy",
                code="usage.input",
                expected="cross-entropy",
            )
        (scores, *_) = self.predict(inputs).values()
        axis = class_axis(scores.shape)
        found, wanted, most = scores.argmax(axis=axis), np.asarray(labels), scores.shape[axis] - 1
        known = wanted.dtype.kind in "iuf" and np.isin(wanted, np.arange(most + 1)).all()
        if found.shape != wanted.shape or not known:
            raise UsageError(
                "the labels do not fit the items",
                code="usage.input",
                expected=f"classes from 0 to {most} of shape {found.shape}",
                received=f"{wanted.dtype} of shape {wanted.shape}",
            )
        return float((found == wanted).mean())

    def plot(self, path: str | Path | None = None, *, window: int = 20) -> Any:
        """The losses over the steps, and their running mean; a matplotlib figure (extra `plots`).

        Raises:
            UsageError: matplotlib is not installed.
        """
        try:
            from matplotlib.figure import Figure
        except ImportError as error:
            raise UsageError(
                "plots need matplotlib", hint="install the extra: pip install zktally[plots]"
            ) from error
        figure = Figure(figsize=(7, 4), layout="constrained")
        axes = figure.add_subplot()
        losses, span = self.losses, min(window, len(self.losses))
        mean = np.convolve(losses, np.ones(span) / span, "valid")
        axes.plot(losses, color="0.8", linewidth=0.8, label="a step")
        axes.plot(np.arange(span - 1, len(losses)), mean, label=f"mean of {span} steps")
        axes.set(xlabel="step", ylabel="loss", yscale="log" if losses.min() > 0 else "linear")
        axes.legend()
        if path is not None:
            figure.savefig(path)
        return figure

    def save(self, folder: str | Path, *, force: bool = False) -> None:
        """Receipts, the trained model and the final state as files of a folder.

        Raises:
            UsageError: they exist without `force`, or cannot be written.
        """
        where = Path(folder)
        where.mkdir(parents=True, exist_ok=True)
        for number, receipt in enumerate(self.receipts):
            receipt.save(where / f"run-{number:03d}.receipt", force=force)
        self.program.save(where / "steps.zkt", force=force)
        self.export().save(where / "trained.zkt", force=force)
        self.state.save(where / "final.zks", force=force)

    def __repr__(self) -> str:
        return f"<TrainingRun {repr(self._trained)[len('<Trained: ') : -1]}>"

    def _repr_html_(self) -> str:
        losses, receipts = self.losses, self._trained.receipts
        rows = [
            ("steps", f"{len(losses):,}"),
            ("loss", f"{losses[0]:.4f} → {float(np.mean(losses[-20:])):.4f}"),
            ("receipts", f"{len(receipts)}, {sum(map(len, receipts)):,} bytes"),
            ("model id", self.model_id.hex()),
            ("data set", self.dataset_root.hex()),
        ]
        rows += [
            (f"saturated {quoted(each.name)}", f"{each.outside:,} of {each.values:,} values")
            for each in self.saturated
        ]
        return table("Training run", rows)


def train(
    model: ModelLike | Any,
    data: tuple[Any, npt.ArrayLike],
    *,
    loss: str = "cross-entropy",
    optimizer: SGD | Adam | AdamW | str | None = None,
    batch: int = 64,
    steps: int = 600,
    nonce: bytes | str | None = None,
    freeze: Sequence[str] | str = (),
    folder: str | Path | None = None,
    data_key: bytes | None = None,
    memory: float = 4.0,
    progress: Progress | bool | None = None,
    report: Report | None = None,
    **settings: Any,
) -> TrainingRun:
    """Train a model in integers, and make receipts of every step.

    Args:
        model: an ONNX file, its bytes, or a loaded model; or a torch module (extra `train`).
        data: inputs and labels: an array [records, ...] or a dict of them by input name, and an
            array [records, ...] of classes, or of numbers where the loss is of such.
        loss: `cross-entropy`, `mse` or `binary-cross-entropy`, of the first output.
        optimizer: `SGD`, `Adam` or `AdamW`, or one of them by name; by default SGD with a rate of
            0.1 and momentum 0.9.
        batch: records of a step.
        steps: of the run.
        nonce: a verifier's challenge, from which seed, order and first weights follow; without,
            they follow from program and data set.
        freeze: patterns of names of constants that stay as they are.
        folder: keeps the run, so that the same call goes on with it after an interruption.
        data_key: salts the data set, 32 bytes; 32 zero bytes make it public; None: a new one.
        memory: gigabytes for the traces of steps; what goes beyond is computed again.
        progress: called as progress(phase, done, total); True, False or None as of `prove`.
        report: called with each step and its loss.
        settings: any other setting of `Plan`: schedule, warmup, mode, delta, receipt_every, start,
            precision, clip_value, clip_norm, label_smoothing, rehearsal, small, foldable,
            succinct, reveal, loss_output, batch_norm, dropout, outputs.

    Raises:
        UsageError: settings or data that do not fit.
        NotTrainable, CompileError: what of the model cannot be trained.
        ProveError: a fast receipt would show private data.
    """
    chosen = _optimizer(optimizer)
    challenge = parse("nonce", nonce) if isinstance(nonce, str) else nonce
    if not isinstance(challenge, bytes | None):
        challenge = as_bytes("nonce", challenge)
    values = {
        "loss": loss.replace("_", "-") if isinstance(loss, str) else loss,
        **chosen.values(),
        "batch": batch,
        "steps": steps,
        "nonce": None if challenge is None else challenge.hex(),
        "freeze": names_of(freeze, "freeze"),
        **settings,
    }
    if not isinstance(data, tuple | list) or len(data) != 2:
        raise UsageError(
            "data is no pair", expected="(inputs, labels)", received=type(data).__name__
        )
    if not 0.0 < real(memory, "memory") < 2**20:
        raise UsageError("memory is out of range", expected="gigabytes", received=memory)
    inputs, labels = data
    held = _arrays(inputs)
    with showing(progress) as show:
        trained = run_training(
            _exported_module(model, held),
            held,
            np.asarray(labels),
            with_values(Plan(), values),
            folder=folder,
            data_key=data_key,
            keep_bytes=int(memory * 2**30),
            progress=show,
            report=report,
        )
    return TrainingRun(trained)


_OPTIMIZERS: Mapping[str, SGD | Adam | AdamW] = {
    "sgd": SGD(momentum=0.9),
    "adam": Adam(),
    "adamw": AdamW(),
}


def _optimizer(given: SGD | Adam | AdamW | str | None) -> SGD | Adam | AdamW:
    """The optimiser that is meant."""
    found = _OPTIMIZERS.get(given.lower()) if isinstance(given, str) else given
    if given is None:
        return _OPTIMIZERS["sgd"]
    if not isinstance(found, SGD | Adam | AdamW):
        raise UsageError("no such optimizer", expected="SGD, Adam or AdamW", received=shown(given))
    return found


def _arrays(inputs: Any) -> Any:
    """An array, or arrays by name."""
    if isinstance(inputs, Mapping):
        return {name: np.asarray(array) for name, array in inputs.items()}
    return np.asarray(inputs)


def _exported_module(model: Any, data: Any) -> ModelLike:
    """A torch module as an ONNX model, its Dropout modules as in training; or a model as it is."""
    if not hasattr(model, "state_dict"):
        return model  # type: ignore[no-any-return]
    import torch

    module = copy.deepcopy(model).train(False)
    for each in module.modules():
        if isinstance(each, torch.nn.modules.dropout._DropoutNd):
            each.train()
    arrays = data if isinstance(data, Mapping) else {"x": data}
    sample = tuple(torch.from_numpy(array[:2]) for array in arrays.values())
    names, written = list(arrays), io.BytesIO()
    torch.onnx.export(
        module,
        sample,
        written,
        training=torch.onnx.TrainingMode.PRESERVE,
        input_names=names,
        dynamic_axes={name: {0: "N"} for name in names},
        do_constant_folding=False,
        dynamo=False,
    )
    return written.getvalue()
