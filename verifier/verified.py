"""What a verified receipt says: its facts, its outputs, and what is promised, in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from decimal import ROUND_UP, Context, Decimal
from typing import Any

import numpy as np

from .facts import CERTIFIED, CONSISTENT, SAMPLED
from .journal import FAST, MODES

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class OpBound:
    """What is shown for one op.

    Attributes:
        name: of the op.
        kind: dot, pick, gather or div.
        gates: number of its gates in a step.
        weight: of one gate.
        macs: of one gate, 0 unless it is a dot.
        draws: samples that it gets in expectation, rounded down.
        enumerated: whether all its gates are checked.
        bound: fraction of its gates that can be wrong unseen; 0 if enumerated, 1 for no bound.
    """

    name: str
    kind: str
    gates: int
    weight: int
    macs: int
    draws: int
    enumerated: bool
    live: int
    bound: float


@dataclass(frozen=True)
class Guarantee:
    """What a receipt promises, in numbers and in words.

    Attributes:
        bits: confidence per attempt of the prover: λ, at most the 124 that the hashes give, and of
            a hybrid receipt at most what its proofs show.
        delta: bound on the wrong fraction of the compute of the real items, by weight of live gates
            (where item slots differ in cost, an item counts as the average slot).
        delta_macs: what that is at most as a fraction of the multiply-accumulates.
        delta_step: the same bound for every single step, or None where none is claimed.
        steps: length of the chain.
        ops: what is shown for each op.
        outputs: per output "certified", "consistent" (with its operands) or "sampled".
        prover_chosen: what the prover chose, except for what the caller pinned.
        hides: whether opened values stand inside proofs, and not in the clear.
        published: what is in the statement in the clear.
    """

    bits: int
    delta: float
    delta_macs: float
    delta_step: float | None
    steps: int
    ops: tuple[OpBound, ...]
    outputs: Mapping[str, str]
    prover_chosen: tuple[str, ...]
    hides: bool = False
    published: tuple[str, ...] = ()

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Guarantee:
        """The guarantee that follows from the facts of a verified receipt."""
        delta = facts["delta_ppm"] / 1e6
        macs = facts["step_macs"]
        return cls(
            bits=facts["headline_bits"],
            delta=delta,
            delta_macs=min(1.0, delta * facts["step_weight"] / macs) if macs else 1.0,
            delta_step=facts["delta_step_ppm"] / 1e6 or None,
            steps=facts["steps"],
            ops=tuple(OpBound(**op, bound=_op_bound(op, facts["lambda"])) for op in facts["ops"]),
            outputs={output["name"]: output["status"] for output in facts["outputs"]},
            prover_chosen=_prover_chosen(facts),
            hides=facts["mode"] != MODES[FAST],
            published=_published(facts),
        )

    def sentence(self) -> str:
        """The guarantee in one line."""
        bound = f"wrong compute ≤ {_percent(self.delta)} of that of all items"
        if self.delta_step is not None:
            bound += f" and ≤ {_percent(self.delta_step)} of each step"
        shown = ", ".join([*self.published, "program", "roots", "samples", "shapes"])
        hidden = f"zero knowledge except {shown}" if self.hides else "nothing hidden"
        return f"{bound} ({self.bits} bits), {self._outputs()}, {hidden}"

    def text(self) -> str:
        """The guarantee in several lines: what is shown, and what is not promised."""
        return "\n".join(
            [
                f"shown      wrong compute ≤ {_percent(self.delta)} of that of all items "
                f"(at most {_percent(self.delta_macs)} of the MACs):",
                "           were there more, the receipt would pass with probability at most "
                f"2^-{self.bits}",
                "           per attempt of the prover; items count alike, as in every compiled "
                "program",
                f"each step  {self._step()}",
                *self._op_lines(),
                *self._output_lines(),
                *self._not_shown(),
                *self._hidden(),
            ]
        )

    def to_json(self) -> dict[str, Any]:
        """The guarantee as one JSON-ready object."""
        return {**asdict(self), "sentence": self.sentence()}

    def _step(self) -> str:
        if self.delta_step is not None:
            return f"wrong compute ≤ {_percent(self.delta_step)} of every single step"
        if self.steps == 1:
            return "the chain is one step"
        if self.delta * self.steps >= 1:
            whole = int(self.delta * self.steps + 1e-9)
            steps = "one whole step" if whole == 1 else f"{whole} whole steps"
            return f"no bound: {steps} of {self.steps} may be wrong within the bound of all"
        share = _percent(min(1.0, self.delta * self.steps))
        return f"no bound of its own; within that of all {share} of one step may be wrong"

    def _outputs(self) -> str:
        if not self.outputs:
            return "no outputs"
        by_status = {
            status: [name for name, found in self.outputs.items() if found == status]
            for status in (CERTIFIED, CONSISTENT, SAMPLED)
        }
        shown = [status for status, names in by_status.items() if names]
        if len(shown) == 1:
            return f"outputs {shown[0]}{'' if shown == [CERTIFIED] else ', not certified'}"
        return "outputs " + ", ".join(f"{', '.join(by_status[s])} {s}" for s in shown)

    def _op_lines(self) -> list[str]:
        lines = ["each op    gates that can be wrong unseen:"]
        for op in self.ops:
            bound = "no bound" if op.bound >= 1 else f"≤ {_percent(op.bound)}"
            bound = "none, all are checked" if op.enumerated else bound
            draws = "" if op.enumerated else f", {op.draws:,} samples"
            lines.append(f"           {op.name}: {bound} ({op.gates:,} a step{draws})")
        return lines

    def _not_shown(self) -> list[str]:
        *most, last = self.prover_chosen
        chosen = f"{', '.join(most)} and {last}" if most else last
        lines = [f"not shown  where {chosen} come from: what you did not pin, the prover chose"]
        if not all(op.enumerated for op in self.ops):
            lines += [
                "           that every value is right: one overwritten activation with everything "
                "after it recomputed",
                "           is one wrong gate, and sampling will not see it",
            ]
        return lines

    def _hidden(self) -> list[str]:
        if not self.hides:
            return [
                "hidden     nothing: the opened weights and activations stand in the receipt in "
                "the clear"
            ]
        secret = "weights" if "inputs" in self.published else "weights, inputs"
        said = ", ".join(["the statement", *self.published])
        lines = [
            f"hidden     {secret} and activations, opened or not; not hidden are {said},",
            "           the program with its constants and tables, the salted roots of all trees,",
            "           which gates were sampled, the number of proofs and their sizes;",
            "           the weights of a public model are known to whoever has the model",
        ]
        if "key of the inputs" in self.published:
            lines.append(
                "           the key of the inputs tells whoever guesses them that it is so"
            )
        return lines

    def _output_lines(self) -> list[str]:
        meaning = {
            CERTIFIED: "certified, every gate that leads to it was checked",
            CONSISTENT: "consistent with the activations before it, not certified",
            SAMPLED: "sampled, single values of it may be wrong",
        }
        return [f"output     {name}: {meaning[status]}" for name, status in self.outputs.items()]


@dataclass(frozen=True)
class Verified:
    """A receipt that was judged and found good. Digests and ids are hexadecimal.

    Attributes:
        backend: the verifier that judged it, "rust" or "python".
        mode: "fast" or "hybrid".
        model_id: of the model that the caller named.
        program_id: of its program.
        weights_root: the commitment to its weights.
        program_name: its name.
        steps: steps of the chain.
        items: real items in it.
        batch: item slots of a step.
        delta: bound on the wrong fraction of the compute of the real items.
        delta_step: the same for every step, or None.
        bits: λ as claimed.
        samples: draws by weight over the chain.
        samples_per_op: draws for each op.
        samples_per_step: draws for a full step, 0 if no bound per step is claimed.
        itemised: whether a step is made of items; otherwise the unit is the step.
        step_weight: weight of all gates of a step.
        step_macs: multiply-accumulates of a step.
        live_macs: those that reach an output or a state.
        checked_gates: different gates that were recomputed.
        input_root: commitment to the inputs.
        initial_state: digest of the state that the chain starts from.
        final_state: digest of the state that it ends in.
        chain_root: commitment to all steps.
        prf_seed: commitment to the seed of the prf tensors.
        input_key: key of the salts of the inputs, where published.
        inputs_public: whether the receipt holds the inputs.
        audience: who it was made for.
        nonce: the challenge that it answers.
        receipt_bytes: its size.
        outputs: arrays by name, float32 or int64, [items, ...] or [steps, ...].
        guarantee: what is promised.
        headline_bits: confidence of a hybrid receipt: the least of λ, its proofs, the hashes.
        stark_bits: proven bits of each proof of a hybrid receipt, rounded down to tenths.
        segments: how many proofs it has.
        profile: of its proofs, "standard" or "small".
    """

    backend: str
    mode: str
    model_id: str
    program_id: str
    weights_root: str
    program_name: str
    steps: int
    items: int
    batch: int
    delta: float
    delta_step: float | None
    bits: int
    samples: int
    samples_per_op: int
    samples_per_step: int
    itemised: bool
    step_weight: int
    step_macs: int
    live_macs: int
    checked_gates: int
    input_root: str
    initial_state: str
    final_state: str
    chain_root: str
    prf_seed: str
    input_key: str | None
    inputs_public: bool
    audience: str | None
    nonce: str | None
    receipt_bytes: int
    outputs: Mapping[str, Array]
    guarantee: Guarantee
    headline_bits: int | None = None
    stark_bits: float | None = None
    segments: int | None = None
    profile: str | None = None

    @classmethod
    def of(cls, facts: Mapping[str, Any], outputs: Mapping[str, Array], backend: str) -> Verified:
        """From what a verifier returns."""
        derived = {"delta_ppm", "delta_step_ppm", "delta_op_ppm", "lambda", "ops", "outputs"}
        guarantee = Guarantee.of(facts)
        return cls(
            **{name: value for name, value in facts.items() if name not in derived},
            backend=backend,
            delta=guarantee.delta,
            delta_step=guarantee.delta_step,
            bits=facts["lambda"],
            outputs=outputs,
            guarantee=guarantee,
        )

    def sentence(self) -> str:
        """The verdict in one line."""
        steps = "1 step" if self.steps == 1 else f"{self.steps:,} steps"
        said = self.guarantee.sentence()
        return f"{steps}, {self.items:,} items, model {self.model_id[:8]}…, {self.mode}, {said}"

    def to_json(self) -> dict[str, Any]:
        """Everything as one JSON-ready object; values of outputs that are not finite are null."""
        shown = {name: getattr(self, name) for name in self.__dataclass_fields__}
        shown["guarantee"] = self.guarantee.to_json()
        shown["outputs"] = [
            {
                "name": name,
                "status": self.guarantee.outputs[name],
                "dtype": str(array.dtype),
                "shape": list(array.shape),
                "values": _finite_or_null(array),
            }
            for name, array in self.outputs.items()
        ]
        return shown

    def __repr__(self) -> str:
        arrays = ", ".join(f"{name} {list(a.shape)}" for name, a in self.outputs.items())
        return f"Verified({self.sentence()}; {arrays or 'no outputs'}; {self.backend})"


def _op_bound(op: Mapping[str, Any], bits: int) -> float:
    """min(1, λ·ln 2 / d): a wrong fraction f passes with probability at most e^(−f·d)."""
    if op["enumerated"]:
        return 0.0
    return min(1.0, bits * math.log(2) / op["draws"]) if op["draws"] else 1.0


def _prover_chosen(facts: Mapping[str, Any]) -> tuple[str, ...]:
    """Only a program without states, or without prf tensors, has a zero digest in their place."""
    optional = (("initial_state", "the initial state"), ("prf_seed", "the seed of the noise"))
    return ("the inputs", *(name for field, name in optional if facts[field].strip("0")))


def _published(facts: Mapping[str, Any]) -> tuple[str, ...]:
    """What of the values, or to confirm them, a statement has in the clear."""
    inputs = "inputs" if facts["inputs_public"] else "key of the inputs"
    found = [inputs] if facts["input_key"] is not None else []
    return (*found, "outputs") if facts["outputs"] else tuple(found)


def _finite_or_null(array: Array) -> list[Any]:
    values = array.astype(object)
    values[~np.isfinite(array)] = None
    listed: list[Any] = values.tolist()
    return listed


def _percent(fraction: float) -> str:
    """Three digits, rounded up: what is printed is a bound, too."""
    shown = Context(prec=3, rounding=ROUND_UP).plus(Decimal(repr(fraction)) * 100)
    return f"{shown.normalize():f} %"
