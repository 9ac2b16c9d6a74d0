"""The statement of a receipt, read and written (docs/receipt-format.md, Journal).

Nothing in a journal is to be believed before the whole receipt is verified.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from .errors import UnsupportedReceipt
from .labels import Labels, read_labels, write_labels
from .reader import RECEIPT_CODES, Reader, Writer

if TYPE_CHECKING:
    from .program.types import Port

VERSION = 3
FAST, HYBRID, STRICT = 0, 1, 2
MODE_AT = 2
"""Where the byte of the mode stands."""

MODES = ("fast", "hybrid", "strict")

OWN, DERIVED = 0, 1
"""Seed: the prover's own, which nothing is claimed of; or the one that follows from the run."""

ROOT, DECLARED = 0, 1
"""Start: a root that the caller knows or does not; or what the program declares."""

MAX_STEPS = 2**20
MAX_POSITION = 2**30
"""Steps of a run, all its receipts together."""

MAX_PPM = 500_000
MAX_BITS = 256

ZERO_DIGEST = bytes(32)

OPTIONAL = ("dataset_root", "initial_state", "final_state", "exported_root", "prf_seed")
"""Digests that are zero where a program has no data set, no states, no exports, no seed."""


def model_id(program_id: bytes, weights_root: bytes) -> bytes:
    """The identity of a model: a hash of its program id and weights root, 32 bytes each."""
    return hashlib.sha256(b"zktally model v1\0" + program_id + weights_root).digest()


@dataclass(frozen=True)
class Journal(Labels):
    """What a receipt claims, its labels among it.

    Attributes:
        mode: 0 fast, 1 hybrid, 2 strict. A strict one checks everything: δ, λ and `exact` are void.
        program_id: 32 bytes of SHA-256.
        weights_root, chain_root, input_root, initial_state, final_state: digests of 32 bytes.
        dataset_root: of the data set that the steps read, a digest; zero where there is none.
        exported_root: the weights root of the model that is served, a digest; zero where there is
            none.
        first: the step of the run that the chain begins with; a continued run goes on counting.
        prf_seed: commitment to the seed of the run, a digest.
        seed: 0 the prover's own, 1 derived from program, data set and nonce.
        start: 0 a root, 1 what the program declares that its states start with.
        steps, items: steps of the chain, real items in it.
        delta_ppm: δ in parts per million.
        delta_step_ppm, delta_op_ppm: the same for every step, for every op; 0 for none.
        bits: λ.
        exact: numbers of ops checked gate by gate beyond those that the program flags, ascending.
        input_key: key of the salts of the inputs, 32 bytes, where published.
        inputs, outputs: packed values, step by step, port by port; inputs only where published;
            outputs of all steps and ports, or empty where they are hidden.
    """

    mode: int
    program_id: bytes
    weights_root: bytes
    dataset_root: bytes
    first: int
    steps: int
    items: int
    delta_ppm: int
    delta_step_ppm: int
    delta_op_ppm: int
    bits: int
    exact: tuple[int, ...]
    chain_root: bytes
    input_root: bytes
    initial_state: bytes
    final_state: bytes
    exported_root: bytes
    prf_seed: bytes
    seed: int
    start: int
    input_key: bytes | None
    inputs: bytes | None
    outputs: bytes

    @property
    def model_id(self) -> bytes:
        """The identity of the model that it is about."""
        return model_id(self.program_id, self.weights_root)

    @property
    def publishes(self) -> bool:
        """Whether the values of the outputs stand in it; never of a program without any."""
        return bool(self.outputs)

    def published(self, ports: tuple[Port, ...]) -> tuple[Port, ...]:
        """Of the output ports of its program, those whose values stand in it: all or none."""
        return ports if self.publishes else ()

    @property
    def absent(self) -> tuple[str, ...]:
        """Names of the digests that are zero: of what the program does not have."""
        return tuple(name for name in OPTIONAL if getattr(self, name) == ZERO_DIGEST)

    def encode(self) -> bytes:
        """The canonical bytes; `decode` judges whether the fields obey their rules."""
        w = Writer()
        w.u16(VERSION)
        w.u8(self.mode)
        w.raw(self.program_id)
        w.raw(self.weights_root)
        w.raw(self.dataset_root)
        w.u32(self.first)
        w.u32(self.steps)
        w.u32(self.items)
        w.u32(self.delta_ppm)
        w.u32(self.delta_step_ppm)
        w.u32(self.delta_op_ppm)
        w.u16(self.bits)
        w.u16(len(self.exact))
        for op in self.exact:
            w.u16(op)
        for digest in (
            self.chain_root, self.input_root, self.initial_state, self.final_state,
            self.exported_root, self.prf_seed,
        ):  # fmt: skip
            w.raw(digest)
        w.u8(self.seed)
        w.u8(self.start)
        w.flag(self.input_key is not None)
        w.raw(self.input_key or b"")
        w.flag(self.inputs is not None)
        if self.inputs is not None:
            w.blob(self.inputs)
        w.blob(self.outputs)
        write_labels(w, self.labels)
        return w.getvalue()

    @classmethod
    def decode(cls, data: bytes | memoryview) -> Journal:
        """Read the canonical bytes.

        Raises:
            MalformedReceipt: the bytes are not canonical, end too early or do not end.
            UnsupportedReceipt: the version or the mode is not one of this release.
        """
        r = Reader(data, RECEIPT_CODES)
        _expect(r.u16(), VERSION, "version", "receipt.unsupported-version")
        mode = r.u8()
        if mode not in (HYBRID, STRICT):
            _expect(mode, FAST, "mode", "receipt.unsupported-mode")
        sampled = int(mode != STRICT)
        program_id = bytes(r.take(32))
        weights_root, dataset_root, first = _digest(r), _digest(r), r.u32()
        steps = _within(r, "steps", r.u32(), 1, MAX_STEPS)
        items = _within(r, "items", r.u32(), 1, 2**32 - 1)
        delta_ppm = _within(r, "δ in parts per million", r.u32(), sampled, sampled * MAX_PPM)
        delta_step_ppm = _within(r, "δ of each step", r.u32(), 0, sampled * MAX_PPM)
        delta_op_ppm = _within(r, "δ of each op", r.u32(), 0, sampled * MAX_PPM)
        bits = _within(r, "λ", r.u16(), sampled, sampled * MAX_BITS)
        exact = _ascending(r)
        if exact and not sampled:
            raise r.bad("a strict statement lists exact ops", received=exact)
        chain_root, input_root = _digest(r), _digest(r)
        initial_state, final_state = _digest(r), _digest(r)
        exported_root, prf_seed = _digest(r), _digest(r)
        seed = _within(r, "the source of the seed", r.u8(), OWN, DERIVED)
        start = _within(r, "the kind of the start", r.u8(), ROOT, DECLARED)
        input_key = _digest(r) if r.flag() else None
        inputs = bytes(r.blob()) if r.flag() else None
        outputs = bytes(r.blob())
        labels = read_labels(r)
        if inputs is not None and input_key is None:
            raise r.bad("inputs are published without the key of their salts")
        r.end()
        return cls(
            mode=mode,
            program_id=program_id,
            weights_root=weights_root,
            dataset_root=dataset_root,
            first=first,
            steps=steps,
            items=items,
            delta_ppm=delta_ppm,
            delta_step_ppm=delta_step_ppm,
            delta_op_ppm=delta_op_ppm,
            bits=bits,
            exact=exact,
            chain_root=chain_root,
            input_root=input_root,
            initial_state=initial_state,
            final_state=final_state,
            exported_root=exported_root,
            prf_seed=prf_seed,
            seed=seed,
            start=start,
            input_key=input_key,
            inputs=inputs,
            outputs=outputs,
            **labels,
        )


def _expect(value: int, expected: int, what: str, code: str) -> int:
    if value != expected:
        raise UnsupportedReceipt(
            f"a statement of another {what}", code=code, expected=expected, received=value
        )
    return value


def _within(r: Reader, what: str, value: int, least: int, most: int) -> int:
    if not least <= value <= most:
        raise r.bad(f"{what} is out of range", expected=f"{least} to {most}", received=value)
    return value


def _digest(r: Reader) -> bytes:
    w = Writer()
    w.digest(r.digest())
    return w.getvalue()


def _ascending(r: Reader) -> tuple[int, ...]:
    ops = tuple(r.u16() for _ in range(r.u16()))
    if any(a >= b for a, b in pairwise(ops)):
        raise r.bad("exact ops do not ascend", received=ops)
    return ops
