"""What a verified receipt says: its facts, its outputs, and what is promised, in words."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import ROUND_UP, Context, Decimal
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import UsageError
from .facts import CERTIFIED, CONSISTENT, SAMPLED, Facts, OpFacts
from .inputs import Saturated, port_labels
from .journal import FAST, ZERO_DIGEST, model_id
from .labels import in_words
from .notebook import rows_of, table
from .pins import (
    DATASET,
    FOLLOWED,
    INPUT_ROOT,
    INPUTS,
    ITEMS,
    MODEL,
    NOISE,
    STATE,
    STEPS,
    Pins,
)
from .plain import to_json
from .policy import as_digest
from .profiles import NAMES, SUCCINCT
from .quoting import listed, quoted, steps_text

if TYPE_CHECKING:
    from .shown import Shown

_DIGEST = 32

EVERYTHING = "every gate of every step was checked"
INPUT_KEY = "key of the inputs"

PINNED = {
    MODEL: "the model",
    INPUTS: "the inputs",
    INPUT_ROOT: "the root of the inputs",
    STATE: "the initial state",
    FOLLOWED: "the state in which the receipt before ended",
    DATASET: "the data set",
}
CHOSEN = {
    INPUTS: "the inputs",
    DATASET: "the data set",
    STATE: "the initial state",
    NOISE: "the seed of the noise",
    ITEMS: "the number of items",
    STEPS: "the number of steps",
}
"""What can be pinned, and what there is to choose, in words."""

BEGINS = {
    None: "the program keeps no state",
    "declared": "begins as its program declares, worked out again",
    "pinned": "begins with the state that you named",
    "followed": "begins where the receipt before ended",
    "root": "begins with a state of the prover's choice",
}
"""What a run begins with, in words."""

_LN2 = Fraction(6931471805599453095, 10**19)
"""The natural logarithm of 2, rounded up."""

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class OpBound(OpFacts):
    """What is shown for one op, and what follows.

    Attributes:
        bound: fraction of its live gates (of the real items) that can be wrong unseen; 0 if
            enumerated, 1 for no bound.
    """

    bound: float


@dataclass(frozen=True)
class Run:
    """What a receipt says of the run that its steps belong to.

    Attributes:
        first: the step of the run that the receipt begins with.
        end: the step after its last one.
        start: what its first state is: "declared" by the program, "pinned" by the caller,
            "followed" where a receipt judged before has ended in it, "root" of the prover's choice;
            None of a program without states.
        seed: "own" of the prover, "derived"; None where nothing is drawn.
        has_nonce: whether a derived seed depends on a nonce that the caller named.
        records: of the data set, 0 without one.
        slots: records that a step reads.
        epochs: begun by the last step of the receipt, counted from the beginning of the run.
        dataset_root, exported_root: in hexadecimal, None where there is none.
    """

    first: int
    end: int
    start: str | None
    seed: str | None
    has_nonce: bool
    records: int
    slots: int
    epochs: int
    dataset_root: str | None
    exported_root: str | None

    @classmethod
    def of(cls, facts: Facts, pins: Pins) -> Run | None:
        """The run of a verified receipt; None where steps have nothing to do with each other."""
        journal = facts.journal
        if facts.start is None and not facts.records:
            return None
        return cls(
            first=journal.first,
            end=journal.first + journal.steps,
            start=cls._start(facts, pins),
            seed=facts.seed,
            has_nonce=journal.nonce is not None,
            records=facts.records,
            slots=facts.data_slots,
            epochs=facts.epochs,
            dataset_root=_hex(journal.dataset_root),
            exported_root=_hex(journal.exported_root),
        )

    @staticmethod
    def _start(facts: Facts, pins: Pins) -> str | None:
        if FOLLOWED in pins.pinned:
            return "followed"
        return "pinned" if STATE in pins.pinned else facts.start

    def _times(self) -> str:
        """How often an epoch reads a record: the last ones of an order may fill no batch."""
        return "at most once" if self.records % self.slots else "once"

    def lines(self) -> list[str]:
        """The run in words."""
        last = f" to {self.end - 1:,}" if self.end - self.first > 1 else ""
        begins = f"{self.first:,}{last}; {BEGINS[self.start]}"
        lines = [f"run        step{'s' if last else ''} {begins}"]
        if self.records:
            lines += [
                f"           each step reads {self.slots:,} of {self.records:,} records in the "
                f"order of the seed, each {self._times()} an epoch;",
                f"           {counted(self.epochs, 'epoch')} begun; data set {self.dataset_root}",
            ]
        if self.seed == "derived":
            sources = ["the program", *(["the data set"] if self.records else [])]
            sources += ["your nonce"] if self.has_nonce else []
            lines.append(f"           its seed follows from {_joined(sources)}")
        if self.seed == "derived" and not self.has_nonce:
            lines.append(
                "           no nonce of yours is in it: whoever made these could try many seeds"
            )
        if self.exported_root:
            lines.append(f"           exports weights of root {self.exported_root}")
        return lines


@dataclass(frozen=True)
class Guarantee:
    """What a receipt promises, in numbers and in words.

    Attributes:
        bits: confidence per attempt of the prover, all ways to be deceived together: samples,
            proofs, hashes.
        complete: whether every gate of every step was checked; then nothing is left to the bounds,
            and they are 0.
        delta: bound on the wrong part of the live multiply-accumulates of the real items and of
            what is computed once for all items of a step (of the operations of all gates, in a
            program without multiply-accumulates).
        delta_step: the same bound for every single step, or None where none is claimed.
        delta_op: bound on the wrong part of the live gates of every single op, or None.
        steps: length of the chain.
        items: real items in it; its steps, where the program has no items.
        batch: item slots of a step.
        itemised: whether the program has items at all; otherwise its unit is the step.
        ops: what is shown for each op.
        outputs: per output "certified", "consistent" (with its operands) or "sampled".
        outputs_public: whether the statement holds the values of the outputs that there are.
        pins: what the caller pinned, and what that left for the prover to choose.
        labels: that the receipt has, by name.
        hides: whether opened values stand inside proofs, and not in the clear.
        published: what is in the statement in the clear.
        run: what the steps belong to; None where they have nothing to do with each other.
        folded: of a succinct receipt, the segments whose proofs are not in it, but were proven to
            verify; 0 of any other.
        beside: other receipts of the same aggregate: all have one proof in common.
    """

    bits: int
    complete: bool
    delta: float
    delta_step: float | None
    delta_op: float | None
    steps: int
    items: int
    batch: int
    itemised: bool
    ops: tuple[OpBound, ...]
    outputs: Mapping[str, str]
    outputs_public: bool
    pins: Pins
    labels: Mapping[str, str | bytes | None]
    hides: bool
    published: tuple[str, ...]
    run: Run | None
    folded: int = 0
    beside: int = 0

    @classmethod
    def of(cls, facts: Facts, pins: Pins, beside: int = 0) -> Guarantee:
        """The guarantee that follows from the facts of a verified receipt; `beside`: see above."""
        journal, complete = facts.journal, all(op.enumerated for op in facts.ops)
        labels = port_labels(output.name for output in facts.outputs)

        def claimed(ppm: int) -> float | None:
            return 0.0 if complete else ppm / 1e6 or None

        return cls(
            bits=facts.headline_bits,
            complete=complete,
            delta=claimed(journal.delta_ppm) or 0.0,
            delta_step=claimed(journal.delta_step_ppm),
            delta_op=claimed(journal.delta_op_ppm),
            steps=journal.steps,
            items=journal.items,
            batch=facts.batch,
            itemised=facts.itemised,
            ops=tuple(OpBound(**vars(op), bound=op_bound(op, facts)) for op in facts.ops),
            outputs={labels[output.name]: output.status for output in facts.outputs},
            outputs_public=facts.outputs_public,
            pins=pins,
            labels=journal.labels,
            hides=journal.mode != FAST,
            published=_published(facts, pins),
            run=Run.of(facts, pins),
            folded=folded_segments(facts),
            beside=beside,
        )

    def sentence(self) -> str:
        """The guarantee in one line."""
        samples = [] if self.complete else ["samples"]
        shown = ", ".join([*self.published, "program", "roots", *samples, "shapes"])
        hidden = f"zero knowledge except {shown}" if self.hides else "nothing hidden"
        return f"{self._bounds()} ({counted(self.bits, 'bit')}), {self._outputs()}, {hidden}"

    def text(self) -> str:
        """The guarantee in several lines: what is shown, and what is not promised."""
        return "\n".join(
            [
                *self._shown(),
                *self._step_lines(),
                *self._op_lines(),
                *self._output_lines(),
                *(self.run.lines() if self.run else []),
                *self._pin_lines(),
                *self._not_shown(),
                *self._folded(),
                *self._hidden(),
            ]
        )

    def __repr__(self) -> str:
        return f"Guarantee({self.sentence()})"

    def _repr_html_(self) -> str:
        return table("What is guaranteed", rows_of(self.text()))

    def to_json(self) -> dict[str, Any]:
        """The guarantee as one JSON-ready object."""
        shown = to_json(self)
        pins, labels = shown.pop("pins"), shown.pop("labels")
        pins["saturated"] = [{**to_json(s), "share": s.share} for s in self.pins.saturated]
        return {**shown, **pins, **labels, "sentence": self.sentence()}

    def _bounds(self) -> str:
        if self.complete:
            return EVERYTHING
        bounds = [self._bound_of_all()]
        if self.delta_step is not None:
            bounds.append(f"≤ {percent(self.delta_step)} of those of each step")
        if self.delta_op is not None:
            bounds.append(f"≤ {percent(self.delta_op)} of the {self._gates()} of any single op")
        said = _joined(bounds)
        return said if self.delta_op is not None else f"{said}, no bound claimed for single ops"

    def _bound_of_all(self) -> str:
        return f"{self._wrong()} ≤ {percent(self.delta)} of those of {self._all()}"

    def _wrong(self) -> str:
        counted = "multiply-accumulates" if self._multiplies() else "operations"
        return f"wrong {counted}" if self._all_live() else f"wrong live {counted}"

    def _multiplies(self) -> bool:
        return any(op.kind == "dot" for op in self.ops)

    def _gates(self) -> str:
        return "gates" if self._all_live() else "live gates"

    def _all(self) -> str:
        """Everything that counts: not padding, but what a step computes once for its slots."""
        unit = "item" if self.itemised else "step"
        all_units = f"the {unit}" if self.items == 1 else f"all {unit}s"
        if self.batch == 1:
            return all_units
        return f"{all_units} and what {'it shares' if self.items == 1 else 'they share'}"

    def _all_live(self) -> bool:
        return all(op.live == op.gates for op in self.ops)

    def _shown(self) -> list[str]:
        shown = f"{EVERYTHING}:" if self.complete else f"{self._bound_of_all()}:"
        wrong = "one wrong" if self.complete else "there more"
        lines = [
            f"shown      {shown}",
            f"           were {wrong}, the receipt would pass with probability at most "
            f"2^-{self.bits}",
            "           per attempt of the prover",
        ]
        if self.complete:
            return lines
        if not self._all_live():
            lines.append("           live is what leads to an output or a state; no more counts")
        if not self._multiplies():
            lines.append(
                "           the program has no multiply-accumulates: whatever a gate reads is one "
                "operation"
            )
        return lines

    def _step_lines(self) -> list[str]:
        return [] if self.complete else [f"each step  {self._step()}"]

    def _step(self) -> str:
        if self.delta_step is not None:
            return f"{self._wrong()} ≤ {percent(self.delta_step)} of those of every single step"
        if self.steps == 1:
            return "the chain is one step"
        # The last step holds the fewest items, so it is the cheapest to get wrong as a whole.
        last = self.items - (self.steps - 1) * self.batch
        wrong = Fraction(round(self.delta * 1e6), 10**6) * self.items
        if wrong < last:
            share = percent(float(wrong / last))
            return f"no bound of its own; within that of all {share} of one step may be wrong"
        whole = 1 + math.floor((wrong - last) / self.batch)
        steps = "one whole step" if whole == 1 else f"{whole:,} whole steps"
        return f"no bound: {steps} of {self.steps:,} may be wrong within the bound of all"

    def _outputs(self) -> str:
        if not self.outputs:
            return "no outputs"
        by_status = {
            status: [name for name, found in self.outputs.items() if found == status]
            for status in (CERTIFIED, CONSISTENT, SAMPLED)
        }
        shown = [status for status, names in by_status.items() if names]
        outputs = "outputs" if self.outputs_public else "outputs not published,"
        if len(shown) == 1:
            return f"{outputs} {shown[0]}{'' if shown == [CERTIFIED] else ', not certified'}"
        return f"{outputs} " + ", ".join(f"{listed(by_status[s])} {s}" for s in shown)

    def _op_lines(self) -> list[str]:
        if self.complete:
            return []
        common = "no common bound is claimed"
        if self.delta_op is not None:
            common = f"at most {percent(self.delta_op)} of the {self._gates()} of any single op"
        lines = [f"each op    {common}; {self._gates()} of each that can be wrong unseen:"]
        for op in self.ops:
            bound = "no bound" if op.bound >= 1 else f"≤ {percent(op.bound)}"
            bound = "none, all are checked" if op.enumerated else bound
            live = f"{op.live:,}" if op.live == op.gates else f"{op.live:,} live of {op.gates:,}"
            draws = "" if op.enumerated else f", {op.draws:,} samples"
            lines.append(f"           {quoted(op.name)}: {bound} ({live} a step{draws})")
        return lines

    def _pin_lines(self) -> list[str]:
        pinned = [
            PINNED.get(name) or f"{name} {in_words(self.labels[name])}" for name in self.pins.pinned
        ]
        chosen = [CHOSEN[name] for name in self.pins.prover_chosen]
        lines = [f"pinned     by you: {', '.join(pinned)}"]
        if self.pins.quantised:
            lines += [
                "           inputs are pinned as the program reads them: rounded to its steps, and "
                "whatever",
                "           lies outside of its range as the nearest end of that range",
            ]
        lines += self._saturated()
        lines.append(f"chosen     by the prover: {', '.join(chosen) or 'nothing of what goes in'}")
        return lines

    def _saturated(self) -> list[str]:
        lines = [f"           {saturation_words(s)}" for s in self.pins.saturated if s.outside]
        if self.pins.saturated and not lines:
            lines = ["           no value of your inputs lies outside of it after rounding"]
        return lines

    def _not_shown(self) -> list[str]:
        if self.complete:
            return []
        return [
            "not shown  that every value is right: one overwritten activation with everything "
            "after it recomputed",
            "           is one wrong gate, and samples need not hit it",
        ]

    def _folded(self) -> list[str]:
        if not self.folded:
            return []
        shown, these = f"the proofs of all {self.folded:,} segments verify", "these are"
        if self.folded == 1:
            shown, these = "the proof of the one segment verifies", "that one is"
        if self.beside:
            receipts = counted(self.beside + 1, "receipt")
            return [
                f"succinct   one proof for the {receipts} of the file shows that {shown};",
                f"           {these} not in the file",
            ]
        return [
            f"succinct   the receipt holds one proof, which shows that {shown};",
            f"           {these} not in it",
        ]

    def _hidden(self) -> list[str]:
        if not self.hides:
            return ["hidden     nothing: whatever was opened stands in the receipt in the clear"]
        inputs = ["inputs"] if self.pins.has_inputs and INPUTS not in self.published else []
        records = ["records"] if self.run is not None and self.run.records else []
        outputs = [] if self.outputs_public else ["outputs"]
        secret = ", ".join(["weights", *inputs, *records, *outputs])
        said = ", ".join(["the statement", *self.published])
        checked = "that every gate was checked" if self.complete else "which gates were sampled"
        lines = [
            f"hidden     {secret} and activations, opened or not; not hidden are {said},",
            f"           the program with its constants and tables, {checked},",
            "           the number of proofs and their sizes;",
            "           the weights of a public model are known to whoever has the model",
        ]
        if INPUT_KEY in self.published:
            lines.append(
                "           the key of the inputs tells whoever guesses them that it is so"
            )
        if self.run is not None and self.run.start == "declared":
            lines.append(
                "           the first state follows from the program, and the seed with it"
            )
        return lines

    def _output_lines(self) -> list[str]:
        meaning = {
            CERTIFIED: "certified, every gate that leads to it was checked",
            CONSISTENT: "consistent with the values it is computed from, not certified",
            SAMPLED: "only sampled, up to the bound of the op that gives it may be wrong",
        }
        lines = [
            f"output     {quoted(name)}: {meaning[status]}" for name, status in self.outputs.items()
        ]
        return lines if self.outputs_public else [*lines, *self._not_published()]

    def _not_published(self) -> list[str]:
        """What is said of outputs that the statement leaves out."""
        lines = ["           not published: bound by the chain root; ask for a showing of a step"]
        if not self.hides:
            lines.append("           what was opened of them stands in the receipt nevertheless")
        return lines


@dataclass(frozen=True)
class Verified:
    """A receipt that was judged and found good.

    What `to_json` shows stands in attributes, too, digests and ids in hexadecimal: of the statement
    `mode` (by name), `program_id`, `weights_root`, `dataset_root`, `first`, `steps`, `items`,
    `bits` (λ as claimed, 0 in a strict receipt), `input_root`, `initial_state`, `final_state`,
    `exported_root`, `chain_root`, `prf_seed`, `seed` and `start` (by name), `input_key` and the
    labels `audience` and `nonce`, None where there is none; of `facts` all but `ops`; of the
    guarantee `delta`, `delta_step`, `delta_op`; of the proofs, where there are some, `profile`,
    `segments` and `stark_bits`, else None.

    Attributes:
        backend: the verifier that judged it, "rust" or "python".
        facts: what was found, typed.
        outputs: arrays by the names that the ONNX model has (`port_labels`), float32 or int64,
            [items, ...] or [steps, ...].
        guarantee: what is promised.
        shown: outputs of single steps of a receipt that hides them, where the caller had a showing;
            then `outputs` is empty.
    """

    backend: str
    facts: Facts
    outputs: Mapping[str, Array]
    guarantee: Guarantee
    shown: Shown | None = field(default=None, kw_only=True)

    @classmethod
    def of(
        cls,
        facts: Facts,
        outputs: Mapping[str, Array],
        backend: str,
        pins: Pins,
        beside: int = 0,
    ) -> Verified:
        """From what a verifier returns, and what its caller had pinned.

        `beside`: other receipts of the same aggregate.
        """
        labels = port_labels(outputs)
        named = {labels[name]: array for name, array in outputs.items()}
        return cls(backend, facts, named, Guarantee.of(facts, pins, beside))

    def __getattr__(self, name: str) -> Any:
        if "facts" in vars(self) and name in self._shown:
            return self._shown[name]
        raise AttributeError(f"a verdict has no {name!r}")

    @cached_property
    def _shown(self) -> dict[str, Any]:
        """All but outputs and guarantee, JSON-ready."""
        bounds = ("delta", "delta_step", "delta_op")
        hidden = {"ops", "outputs", *(f"{name}_ppm" for name in bounds)}
        facts = {name: fact for name, fact in self.facts.flat().items() if name not in hidden}
        claimed = {name: getattr(self.guarantee, name) for name in bounds}
        absent = dict.fromkeys(self.facts.journal.absent)
        return {"backend": self.backend, **facts, **claimed, **absent}

    def with_shown(self, receipt: bytes, showing: bytes) -> Verified:
        """The verdict, and what a showing shows of the receipt that it is about.

        Raises:
            InvalidShowing: `shown.malformed`, `shown.mismatch`, `shown.range`.
            UsageError: the receipt has no hidden outputs; the showing is no bytes.
        """
        from .shown import shown_of

        return replace(self, shown=shown_of(receipt, showing))

    def exported_model_id(self, program_id: str | bytes) -> str:
        """The id of the model that serves what the run exports, in hexadecimal.

        Args:
            program_id: of the program that is served, 32 bytes or hexadecimal.

        Raises:
            UsageError: the run exports nothing, or the id is none.
        """
        if self.facts.journal.exported_root == ZERO_DIGEST:
            raise UsageError("the receipt exports no weights", expected="a program with exports")
        digest = as_digest(program_id, "program_id")
        if len(digest) != _DIGEST:
            raise UsageError(
                "program_id has a wrong length",
                expected="32 bytes (64 hexadecimal digits)",
                received=f"{len(digest)} bytes",
            )
        return model_id(digest, self.facts.journal.exported_root).hex()

    def sentence(self) -> str:
        """The verdict in one line."""
        run = self.guarantee.run
        counts = [counted(self.steps, "step")]
        counts += [f"from step {run.first:,}"] if run is not None and run.first else []
        counts += [counted(self.items, "item")] if self.itemised else []
        said = self.guarantee.sentence()
        return f"{', '.join(counts)}, model {self.model_id[:8]}…, {self.mode}, {said}"

    def to_json(self, most: int | None = None) -> dict[str, Any]:
        """Everything as one JSON-ready object; values of outputs that are not finite are null.

        Args:
            most: of an output with more values than these only the digest is shown, SHA-256 of its
                values as little-endian numbers, row by row.
        """
        pins = {name: getattr(self.guarantee.pins, name) for name in ("pinned", "prover_chosen")}
        told: dict[str, Any] = {"outputs": self._told(self.outputs, most), "pins": to_json(pins)}
        if self.shown is not None:
            outputs = self._told(self.shown.outputs, most)
            for each in outputs:
                each["unit"] = self.shown.units[each["name"]]
                each["rows"] = self.shown.rows[each["name"]].tolist()
            told["shown"] = {"steps": list(self.shown.steps), "outputs": outputs}
        return {**self._shown, **told, "guarantee": self.guarantee.to_json()}

    def about_shown(self) -> list[str]:
        """What is said of outputs that were shown, line by line."""
        if self.shown is None:
            return []
        several = "s" if len(self.shown.steps) > 1 else ""
        lines = [f"shown      outputs of step{several} {steps_text(self.shown.steps)}"]
        if {*self.guarantee.outputs.values()} - {CERTIFIED}:
            lines.append(
                "           of all steps whoever shows them may choose these: what the bound on "
                "all steps leaves open may be here"
            )
        return lines

    def _told(self, outputs: Mapping[str, Array], most: int | None) -> list[dict[str, Any]]:
        """Outputs as JSON; see `to_json`."""
        return [
            {
                "name": name,
                "status": self.guarantee.outputs[name],
                "dtype": str(array.dtype),
                "shape": list(array.shape),
                "sha256": _digest(array),
                "values": None if most is not None and array.size > most else _finite(array),
            }
            for name, array in outputs.items()
        ]

    def __repr__(self) -> str:
        arrays = ", ".join(f"{quoted(name)} {list(a.shape)}" for name, a in self.outputs.items())
        none = "no outputs" if self.guarantee.outputs_public else "outputs not published"
        return f"Verified({self.sentence()}; {arrays or none}; {self.backend})"

    def _repr_html_(self) -> str:
        return table(f"Verified ({self.backend})", self.rows())

    def rows(self) -> list[tuple[str, str]]:
        """The verdict as short labels with words."""
        promised, hides = self.guarantee, self.guarantee.hides
        bound = EVERYTHING if promised.complete else f"wrong compute ≤ {percent(promised.delta)}"
        rows = [
            ("model", self.model_id),
            ("mode", self.mode),
            ("steps", f"{self.steps:,}"),
            *([("items", f"{self.items:,}")] if self.itemised else []),
            ("bound", f"{bound} ({counted(promised.bits, 'bit')})"),
            ("hidden", "all but what the verdict lists" if hides else "nothing"),
        ]
        for name, array in self.outputs.items():
            form = f"{array.dtype} {list(array.shape)}, {promised.outputs[name]}"
            rows.append((f"output {quoted(name)}", form))
        if not promised.outputs_public:
            rows.append(("outputs", "not published"))
        return rows


def op_bound(op: OpFacts, facts: Facts) -> float:
    """The part of an op's live gates of real items that can be wrong unseen, never rounded down.

    Of G gates in a slot L are live, and of n slots r hold items. Where a fraction f of the r·L
    gates that count is wrong, d draws over all n·G miss them with probability at most
    e^(−f·d·r·L/(n·G)), which is 2^−λ at f = λ·ln 2·n·G/(d·r·L).
    """
    if op.enumerated:
        return 0.0
    journal = facts.journal
    hits = op.draws * journal.items * op.live
    slots = journal.steps * facts.batch * op.gates
    if not hits:
        return 1.0
    bound = journal.bits * _LN2 * slots / hits
    shown = float(bound)
    return min(1.0, math.nextafter(shown, 2.0) if shown < bound else shown)


def folded_segments(facts: Facts) -> int:
    """Segments of a succinct receipt, 0 of any other."""
    stark = facts.stark
    return stark.segments if stark is not None and stark.profile == NAMES[SUCCINCT] else 0


def saturation_words(input: Saturated) -> str:
    """How much of an input is clamped, in words."""
    return (
        f"input {quoted(input.name)}: {input.outside:,} of {input.values:,} values "
        f"({percent(input.share)}) lie outside the range [{input.low:.6g}, {input.high:.6g}] "
        "after rounding"
    )


def _published(facts: Facts, pins: Pins) -> tuple[str, ...]:
    """What of the values, or to confirm them, a statement has in the clear."""
    inputs = INPUTS if facts.inputs_public else INPUT_KEY
    found = [inputs] if facts.journal.input_key is not None and pins.has_inputs else []
    return (*found, "outputs") if facts.outputs and facts.outputs_public else tuple(found)


def _joined(parts: Sequence[str]) -> str:
    *most, last = parts
    return f"{', '.join(most)} and {last}" if most else last


def counted(count: int, unit: str) -> str:
    """So many of a unit, in words."""
    return f"1 {unit}" if count == 1 else f"{count:,} {unit}s"


def _hex(digest: bytes) -> str | None:
    return None if digest == ZERO_DIGEST else digest.hex()


def _digest(array: Array) -> str:
    plain = array.astype(array.dtype.newbyteorder("<"), order="C")
    return hashlib.sha256(plain.tobytes()).hexdigest()


def _finite(array: Array) -> list[Any]:
    values = array.astype(object)
    values[~np.isfinite(array)] = None
    listed: list[Any] = values.tolist()
    return listed


def percent(fraction: float) -> str:
    """Three digits, rounded up: what is printed is a bound, too."""
    shown = Context(prec=3, rounding=ROUND_UP).plus(Decimal(repr(fraction)) * 100)
    return f"{shown.normalize():f} %"
