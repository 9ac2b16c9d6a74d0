"""What the caller of a verification pinned, and what was left for the prover to choose."""

from __future__ import annotations

from dataclasses import dataclass

from .inputs import Saturated, saturation
from .journal import OWN, ROOT, Journal
from .policy import Expectations
from .program.codec import decode
from .program.types import ABSENT, PortKind, Program, Role
from .receipt import Sections, split_receipt

MODEL, INPUTS, INPUT_ROOT = "model", "inputs", "input_root"
STATE, FOLLOWED, DATASET = "initial_state", "receipt_before", "dataset"
NOISE, ITEMS, STEPS = "noise_seed", "items", "steps"


@dataclass(frozen=True)
class Pins:
    """What of a receipt the caller knew beforehand.

    Attributes:
        pinned: what the caller named and the receipt had to match: "model", and maybe "inputs",
            "input_root", "initial_state", "dataset", labels; and "receipt_before", where the
            initial state is the one in which a receipt ended that was judged before.
        prover_chosen: what the program has, the caller did not pin, and nothing else fixes:
            "inputs", "dataset", "initial_state" (unless it is the declared one), "noise_seed"
            (unless it is derived), and "items" (or "steps", where the program has no items).
        has_inputs: whether the program has inputs at all.
        quantised: whether pinned inputs hold real numbers, which the program reads rounded to its
            steps and clamped to its range.
        saturated: of the inputs that the caller gave, how many values are clamped; empty where
            none were given, or all are integers.
    """

    pinned: tuple[str, ...] = (MODEL,)
    prover_chosen: tuple[str, ...] = ()
    has_inputs: bool = True
    quantised: bool = False
    saturated: tuple[Saturated, ...] = ()

    @classmethod
    def of(cls, receipt: bytes | bytearray | memoryview, expectations: Expectations) -> Pins:
        """The pins of a receipt that was judged and found good against these expectations."""
        return cls.of_sections(split_receipt(bytes(receipt)), expectations)

    @classmethod
    def of_sections(cls, sections: Sections, expectations: Expectations) -> Pins:
        """The same for a receipt in its parts."""
        program, journal = decode(sections.program), Journal.decode(sections.journal)
        state = expectations.initial_state if program.states else None
        given = {
            MODEL: expectations.model_id,
            INPUTS: expectations.inputs if program.inputs else None,
            INPUT_ROOT: expectations.input_root,
            STATE: state if not expectations.follows else None,
            FOLLOWED: state if expectations.follows else None,
            DATASET: expectations.dataset_root if program.data else None,
            **expectations.labels,
        }
        pinned = tuple(name for name, value in given.items() if value is not None)
        floats = any(port.kind is PortKind.FLOAT for port in program.inputs)
        values = expectations.inputs if INPUTS in pinned else None
        return cls(
            pinned=pinned,
            prover_chosen=_left_open(program, journal, pinned),
            has_inputs=bool(program.inputs),
            quantised=floats and not {INPUTS, INPUT_ROOT}.isdisjoint(pinned),
            saturated=() if values is None else saturation(program, values),
        )


def _left_open(program: Program, journal: Journal, pinned: tuple[str, ...]) -> tuple[str, ...]:
    """What the program has and nothing pins.

    Inputs fix the number of their items, or of their steps; a root fixes only the steps, since the
    padding of the last one is committed like items.
    """
    by_value = INPUTS in pinned
    inputs = by_value or (INPUT_ROOT in pinned and bool(program.inputs))
    batched = any(port.batch != ABSENT for port in program.inputs)
    itemised = batched or any(port.batch != ABSENT for port in program.outputs)
    counted = (by_value and batched) or (inputs and not (itemised and program.batch > 1))
    open_ = {
        INPUTS: bool(program.inputs) and not inputs,
        DATASET: bool(program.data) and DATASET not in pinned,
        STATE: bool(program.states)
        and {STATE, FOLLOWED}.isdisjoint(pinned)
        and journal.start == ROOT,
        NOISE: bool(program.of_role(Role.PRF)) and journal.seed == OWN,
        ITEMS if itemised else STEPS: not counted,
    }
    return tuple(name for name, is_open in open_.items() if is_open)
