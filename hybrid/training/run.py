"""A training run: steps in integers, receipts over them, the trained model."""

from __future__ import annotations

import hashlib
import math
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

import numpy as np
import onnx

from ... import _core
from ...circuits.files import read_limited
from ...circuits.graph import Array
from ...circuits.keys import PUBLIC_KEY, is_key
from ...circuits.model import CompiledModel
from ...circuits.source import ModelLike
from ...circuits.training.losses import LABELS
from ...circuits.training.optimisers import DECAY, RATE
from ...circuits.training.program import FILE, SEED, TrainingProgram
from ...prover import (
    Claims,
    FastRun,
    HeldOutputs,
    Progress,
    ProverOptions,
    RunState,
    Work,
    exported_model,
    prove_in,
    prove_job,
    silent,
    usual_bits,
)
from ...prover.errors import ProveError
from ...prover.run import KEEP_BYTES
from ...verifier.errors import UsageError
from ...verifier.inputs import DTYPES, Saturated
from ...verifier.journal import Journal
from ...verifier.program.types import PortKind, Role
from ...verifier.quoting import listed, quoted_path
from ...verifier.sampling import Counts
from .folder import Folder, Part
from .plan import Part as Asked
from .plan import Plan, with_values
from .prepared import prepare

COMMIT_EVERY = 16
"""Steps executed between two rounds of commitment."""
MODEL_MAX = 1 << 34
"""Bytes of a model file."""
REPORT_EVERY = 0.2
"""Seconds between two reports of progress."""

Report = Callable[[int, float], None]
"""Called with the number of a step and its loss."""
Agree = Callable[[list[Counts]], None]
"""Called with what is claimed of each receipt, before the work."""


@dataclass(frozen=True, eq=False)
class Trained:
    """What a training run gave.

    Attributes:
        receipts: in the order of the steps; each goes on where the last one ended.
        losses: of every step, float64 [steps].
        rehearsed: the losses of the float steps by which scales were found.
        program: the training steps, a compiled model.
        state: in which the run ended; it holds secrets.
        dataset_root: by which a verifier names the data set, 32 bytes.
        held: of each receipt with hidden outputs, what it takes to show them; secret. Else empty.
        clamped: of the data, how much lies outside of the ranges that the rehearsal saw, and is
            read as their ends; empty where the run is only read from its folder.
    """

    receipts: tuple[bytes, ...] = field(repr=False)
    losses: Array = field(repr=False)
    rehearsed: tuple[float, ...] = field(repr=False)
    steps: TrainingProgram = field(repr=False)
    state: RunState = field(repr=False)
    dataset_root: bytes
    held: tuple[HeldOutputs, ...] = field(default=(), repr=False)
    clamped: tuple[Saturated, ...] = ()

    @property
    def saturated(self) -> tuple[Saturated, ...]:
        """What came to the ends of its range, or beyond: data, losses, trained parameters."""
        found = [*self.clamped, self._of_losses(), *self._of_parameters()]
        return tuple(each for each in found if each.outside)

    @property
    def classifies(self) -> bool:
        """Whether its labels are classes, so that there is an accuracy."""
        return any(data.name == LABELS and data.whole for data in self.steps.data)

    def _of_losses(self) -> Saturated:
        program = self.program.checked.program
        port, tensor = program.outputs[0], program.tensors[program.outputs[0].tensor]
        low, high = ((end - port.zero) * port.scale for end in (tensor.lo, tensor.hi))
        return Saturated("loss", len(self.losses), int((self.losses >= high).sum()), low, high)

    def _of_parameters(self) -> Iterator[Saturated]:
        for name, array in self.state.by_name().items():
            code = self.steps.codes[name]
            ends = int(((array == code.hi) | (code.lo < 0) & (array == code.lo)).sum())
            yield Saturated(name, array.size, ends, code.lo * code.scale, code.hi * code.scale)

    @property
    def program(self) -> CompiledModel:
        """The training steps."""
        return self.steps.model

    @property
    def model_id(self) -> bytes:
        """What a verifier of the receipts pins, 32 bytes."""
        return self.steps.model.model_id

    def export(self) -> CompiledModel:
        """The trained model, whose weights root is the one that the last receipt names.

        It holds the key of the run's salts.
        """
        assert self.steps.served is not None
        return exported_model(self.steps.model, self.state, self.steps.served.model)

    def integers(self, data: Array | Mapping[str, Array], labels: Array) -> dict[str, Array]:
        """Records as the integers that the steps read, by the names of the data tensors.

        Raises:
            UsageError: `usage.input`, values that do not fit.
        """
        return coded_records(self.steps, data, labels)

    def parameters(self) -> dict[str, Array]:
        """The trained parameters as floats, by their names in the model file."""
        assert self.steps.served is not None
        program = self.steps.served.model.checked.program
        names = {program.tensors[number].name for number in program.of_role(Role.WEIGHT)}
        reals = self.steps.reals(self.state.by_name())
        return {name: array for name, array in reals.items() if name in names}

    def __repr__(self) -> str:
        count, last = len(self.losses), float(np.mean(self.losses[-20:]))
        size = sum(map(len, self.receipts))
        plural = "" if len(self.receipts) == 1 else "s"
        return (
            f"<Trained: {count:,} steps, loss {self.losses[0]:.4f} → {last:.4f}, "
            f"{len(self.receipts)} receipt{plural} of {size:,} bytes>"
        )


def coded_records(
    steps: TrainingProgram, data: Array | Mapping[str, Array], labels: Array
) -> dict[str, Array]:
    """Records as the integers that the steps read, by the names of the data tensors.

    Args:
        steps: the program of the run.
        data: records [records, ...] of its input, or a dict of them by input name.
        labels: [records, ...].

    Raises:
        UsageError: `usage.input`, names, shapes or values that do not fit.
    """
    names = [each.name for each in steps.data]
    given = {**(data if isinstance(data, Mapping) else {names[0]: data}), LABELS: labels}
    if set(given) != set(names):
        raise UsageError(
            "the records' names are not those of the run",
            code="usage.input",
            expected=listed(names),
            received=listed(given),
        )
    for each in steps.data:
        array, shape = np.asarray(given[each.name]), each.tensor.shape[1:]
        fits = array.ndim and array.dtype.kind in "fiub"
        if not fits or math.prod(array.shape[1:]) != math.prod(shape):
            raise UsageError(
                f"data {each.name!r} does not fit the run",
                code="usage.input",
                expected=f"numbers of shape {('records', *shape)}",
                received=f"{array.dtype} of shape {array.shape}",
            )
    program = steps.model.checked.program
    tensors = [program.tensors[number].name for number in program.of_role(Role.DATA)]
    return dict(zip(tensors, steps.coded(given), strict=True))


@dataclass(frozen=True)
class Prepared:
    """What a run will be, before it is begun: an auditor can draw a nonce once it is said.

    Attributes:
        model_id: what a verifier of the receipts pins, 32 bytes.
        program_id: of the steps, 32 bytes.
        dataset_root: by which a verifier names the data set, 32 bytes.
    """

    model_id: bytes
    program_id: bytes
    dataset_root: bytes


def prepare_run(
    model: ModelLike,
    data: Array | Mapping[str, Array],
    labels: Array,
    plan: Plan,
    *,
    folder: str | Path,
    data_key: bytes | None = None,
    progress: Progress = silent,
) -> Prepared:
    """Rehearse, and commit to program and data, but take no step; `train` goes on in the folder.

    The nonce may be named there for the first time.

    Raises:
        UsageError, CompileError, ProveError: as of `train`.
    """
    with ExitStack() as stack:
        return _Run(
            model, data, labels, plan, folder, data_key, KEEP_BYTES, progress, None, stack
        ).identities()


def train(
    model: ModelLike,
    data: Array | Mapping[str, Array],
    labels: Array,
    plan: Plan,
    *,
    folder: str | Path | None = None,
    data_key: bytes | None = None,
    keep_bytes: int = KEEP_BYTES,
    progress: Progress = silent,
    report: Report | None = None,
    agree: Agree | None = None,
) -> Trained:
    """Train a model in integers, and make receipts of it.

    Args:
        model: an ONNX file, its bytes, or a loaded model.
        data: records [records, ...] of its input, or a dict of them by input name.
        labels: what the outputs should be, [records, ...]: classes of cross-entropy, else floats.
        plan: what is done.
        folder: where the run is kept, so that the same call goes on with it after an interruption.
        data_key: salts the data set, 32 bytes, from whoever holds the data; 32 zero bytes make it
            public; None: a new one.
        keep_bytes: memory for the traces of steps; those beyond it are executed again when they
            are opened.
        progress: called as progress(phase, done, total).
        report: called with each step and its loss.
        agree: called once what is to be proven is known, with the claims of each receipt that is
            missing, before the first step; what it raises ends the call.

    Raises:
        UsageError: claims, data or folder that do not fit.
        NotTrainable, CompileError: what of the model cannot be trained.
        ProveError: a fast receipt would show private data, and the plan does not agree to that.
        UnsupportedReceipt: a program that the mode does not cover.
    """
    with ExitStack() as stack:
        where = stack.enter_context(tempfile.TemporaryDirectory()) if folder is None else folder
        made = _Run(model, data, labels, plan, where, data_key, keep_bytes, progress, report, stack)
        if agree is not None:
            agree(made.missing())
        return made.result()


def finished(folder: str | Path) -> Trained:
    """What the run of a folder gave.

    Raises:
        UsageError: it holds no run, or one that is not finished.
    """
    held = Folder.existing(folder)
    steps, facts = held.program(), held.facts()
    names = [each.name for each in fields(Plan) if each.name in facts]
    plan = with_values(Plan(), {name: facts[name] for name in names})
    parts = [held.part(number) for number in range(len(plan.parts()))]
    receipts = [part.receipt() for part in parts]
    state = parts[-1].state()
    if steps is None or state is None or any(receipt is None for receipt in receipts):
        raise UsageError(
            f"the run in {quoted_path(folder)} is not finished",
            hint="go on with it: the command that began it, once more",
        )
    return Trained(
        tuple(receipt for receipt in receipts if receipt is not None),
        np.concatenate([part.losses() for part in parts]),
        held.rehearsal(),
        steps,
        state,
        state.dataset_root,
        _held(parts),
    )


def _held(parts: Sequence[Part]) -> tuple[HeldOutputs, ...]:
    """What it takes to show the outputs of each receipt, where they are hidden."""
    held = [part.outputs() for part in parts]
    return tuple(each for each in held if each is not None)


class _Run:
    """One call of `train`, alone in its folder until the stack is closed."""

    def __init__(
        self,
        model: ModelLike,
        data: Array | Mapping[str, Array],
        labels: Array,
        plan: Plan,
        folder: str | Path,
        data_key: bytes | None,
        keep_bytes: int,
        progress: Progress,
        report: Report | None,
        stack: ExitStack,
    ) -> None:
        if data_key is not None and not is_key(data_key):
            raise UsageError("the data key is no key", expected="8 field elements in 32 bytes")
        self._plan, self._progress, self._report = plan, progress, report
        self._keep_bytes = keep_bytes
        for part in plan.parts():
            self._claims(part.mode)
        _judge_shown(plan, data_key)
        facts = _facts(model, data, labels, plan, data_key)
        self._folder = Folder(folder)
        stack.enter_context(self._folder.alone())
        self._folder.begin(facts)
        steps = self._folder.program()
        if steps is None:
            steps, _, held, losses = prepare(model, data, labels, plan, progress)
            records: Mapping[str, Array] = held.by_name()
            integers = steps.coded(records)
            self._folder.keep(steps, losses)
        else:
            given = data if isinstance(data, Mapping) else {steps.data[0].name: data}
            records = {**given, LABELS: labels}
            integers = steps.coded(records)
        self._steps = steps
        self._clamped = tuple(data.saturation(records[data.name]) for data in steps.data)
        self._data = self._dataset(integers, data_key)

    def identities(self) -> Prepared:
        """What the run will be."""
        model = self._steps.model
        return Prepared(model.model_id, model.program_id, self._data.root)

    def missing(self) -> list[Counts]:
        """The claims of each receipt that is not made yet."""
        checked, parts = self._steps.model.checked, enumerate(self._plan.parts())
        return [
            self._claims(asked.mode).counts(checked, asked.count)
            for number, asked in parts
            if self._folder.part(number).receipt() is None
        ]

    def _dataset(self, arrays: list[Array], data_key: bytes | None) -> _core.Dataset:
        key = self._folder.data_key() if data_key is None else data_key
        self._progress("commit to the data set", 0, 1)
        committed = _core.Dataset(self._steps.model.core, arrays, key)
        self._progress("commit to the data set", 1, 1)
        return committed

    def result(self) -> Trained:
        """Run what has not run yet, and prove what is not proven yet."""
        plan, receipts, losses = self._plan, [], []
        state: RunState | None = None
        parts = [self._folder.part(number) for number in range(len(plan.parts()))]
        for part, asked in zip(parts, plan.parts(), strict=True):
            receipts.append(part.receipt() or self._prove(part, state, asked))
            state = part.state()
            losses.append(part.losses())
        assert state is not None
        return Trained(
            tuple(receipts),
            np.concatenate(losses),
            self._folder.rehearsal(),
            self._steps,
            state,
            self._data.root,
            _held(parts),
            self._clamped,
        )

    def _prove(self, part: Part, state: RunState | None, asked: Asked) -> bytes:
        plan = self._plan
        options = ProverOptions(
            plan.small,
            reveal=plan.reveal,
            progress=self._progress,
            foldable=plan.foldable,
            succinct=plan.succinct,
        )
        if (part.proof / "job").exists() or (part.proof / "receipt").exists():
            receipt = prove_in(Work(part.proof), self._steps.model.core, options)
        else:
            run = self._executed(part, state, asked.first, asked.count)
            claims = self._claims(asked.mode)
            self._progress("open", 0, 1)
            job = run.job(claims, asked.count, options.profile)
            if plan.outputs == "hidden":
                part.hold(run.held_outputs(Journal.decode(job.journal).chain_root))
            del run
            self._progress("open", 1, 1)
            if asked.mode == "fast":
                receipt = job.shown()
            else:
                receipt = prove_job(job, part.new_proof(), self._steps.model.core, options)
        part.proven(receipt)
        return receipt

    def _claims(self, mode: str) -> Claims:
        """What each receipt claims: so many bits more that those of all together are as usual."""
        plan = self._plan
        sampled = mode != "strict"
        more = math.ceil(math.log2(len(plan.parts())))
        return Claims(
            mode,
            delta=plan.delta if sampled or plan.mode == mode else None,
            bits=usual_bits(mode) + more if sampled else None,
            visibility="public",
            outputs=plan.outputs,
            nonce=plan.nonce_bytes(),
        )

    def _executed(self, part: Part, state: RunState | None, first: int, count: int) -> FastRun:
        """The steps of a part, committed; what they gave is kept."""
        run = self._begin(part, state)
        rates, loss = (
            rates_of(self._steps, self._plan),
            self._steps.model.checked.program.outputs[0],
        )
        losses, shown = np.zeros(count), 0.0
        for done in range(count):
            run.execute(rates(first + done))
            value = run.values(done, loss.tensor).reshape(-1)[0]
            losses[done] = (float(value) - loss.zero) * loss.scale
            if (done + 1) % COMMIT_EVERY == 0 or done + 1 == count:
                run.commit()
            if self._report is not None:
                self._report(first + done, float(losses[done]))
            now = time.monotonic()
            if now - shown > REPORT_EVERY or done + 1 == count:
                self._progress(
                    f"train, loss {losses[done]:.4f}", first + done + 1, self._plan.steps
                )
                shown = now
        part.ended(losses, run.final_state())
        return run

    def _begin(self, part: Part, state: RunState | None) -> FastRun:
        plan, model = self._plan, self._steps.model
        initial: tuple[Array, ...] | RunState | None = state
        if state is None:
            initial = None if plan.start == SEED else self._steps.start
        return FastRun(
            model.core,
            model.checked,
            initial,
            run_key=part.key(),
            seed="derived",
            nonce=plan.nonce_bytes(),
            data=self._data,
            keep_bytes=self._keep_bytes,
        )


def rates_of(steps: TrainingProgram, plan: Plan) -> Callable[[int], list[Array]]:
    """The inputs of each step, its rates, in tensor order."""
    program, schedule, optimiser = steps.model.checked.program, plan.rates(), plan.optimiser()

    def of(step: int) -> list[Array]:
        rate, decay = optimiser.rates(schedule.at(step), step)
        values, found = {RATE: rate, DECAY: decay}, {}
        for port in program.inputs:
            tensor = program.tensors[port.tensor]
            assert port.kind is PortKind.FLOAT
            number = np.clip(np.rint(values[port.name] / port.scale), tensor.lo, tensor.hi)
            found[port.tensor] = np.full(tensor.shape, number, DTYPES[tensor.width])
        return [found[number] for number in program.of_role(Role.INPUT)]

    return of


def _judge_shown(plan: Plan, data_key: bytes | None) -> None:
    """Refuse to show unasked what is private: a fast receipt opens what its gates read."""
    if plan.mode != "fast" or plan.reveal:
        return
    private = {
        "records": data_key != PUBLIC_KEY,
        "first weights": plan.start == FILE,
        "frozen constants": bool(plan.freeze),
    }
    shown = [what for what, hidden in private.items() if hidden]
    if shown:
        raise ProveError(
            f"a fast receipt shows in the clear what its samples read, and private are "
            f"{' and '.join(shown)}",
            code="prove.needs-reveal",
            hint="make hybrid or strict receipts, which hide them; or pass --reveal (reveal=True) "
            "to show the sampled ones for good",
        )


def _facts(
    model: ModelLike,
    data: Array | Mapping[str, Array],
    labels: Array,
    plan: Plan,
    data_key: bytes | None,
) -> dict[str, object]:
    """Which run it is: of a folder that holds one, all of it must be the same."""
    arrays = dict(data) if isinstance(data, Mapping) else {"": data}
    key = None if data_key is None else hashlib.sha256(data_key).hexdigest()
    found = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in asdict(plan).items()
    }
    return {
        **found,
        "model": _model_digest(model),
        "data": {name: _digest(np.asarray(array)) for name, array in sorted(arrays.items())},
        "labels": _digest(np.asarray(labels)),
        "data key": "public" if data_key == PUBLIC_KEY else key,
    }


def _model_digest(model: ModelLike) -> str:
    if isinstance(model, onnx.ModelProto):
        data = model.SerializeToString(deterministic=True)
    else:
        data = model if isinstance(model, bytes) else read_limited(model, MODEL_MAX)
    return hashlib.sha256(data).hexdigest()


def _digest(array: Array) -> str:
    held = np.ascontiguousarray(array)
    head = f"{held.dtype.str} {held.shape}".encode()
    return hashlib.sha256(head + held.tobytes()).hexdigest()
