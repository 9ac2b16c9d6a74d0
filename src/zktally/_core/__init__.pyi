"""The Rust core: programs, commitments, the provers and the verifier.

Every refusal is an error of `zktally.verifier.errors`, named below by its code. Long calls release
the interpreter lock. Sections are those of docs/protocol.md.
"""

from collections.abc import Sequence
from typing import Any, TypedDict, final, type_check_only

import numpy as np
from numpy.typing import NDArray

from . import testing

__all__ = [
    "Dataset",
    "Executor",
    "Folder",
    "HybridProver",
    "Model",
    "NodeProver",
    "Program",
    "Run",
    "SegmentProver",
    "build_info",
    "hybrid_segments",
    "testing",
    "tree_times",
    "verify",
    "verify_aggregate",
]

_Integers = NDArray[Any]

@type_check_only
class BuildInfo(TypedDict):
    """Version and target of the build, lanes that hash at once, threads of the machine.

    `needs` are the features of a processor that the build may use, as Rust names them.
    """

    version: str
    target: str
    lanes: int
    needs: list[str]
    threads: int

@type_check_only
class Statement(TypedDict):
    """What a run commits to: digests and keys of 32 bytes, packed inputs and outputs.

    `seed` is 1 for a derived one, `start` 1 for the declared one.
    """

    steps: int
    first: int
    seed: int
    start: int
    dataset_root: bytes
    exported_root: bytes
    chain_root: bytes
    input_root: bytes
    initial_state: bytes
    final_state: bytes
    prf_seed: bytes
    input_key: bytes
    inputs: bytes
    outputs: bytes

@type_check_only
class SegmentTimings(TypedDict):
    """Seconds of each phase of a segment's proof; per table its name, rows in use and height."""

    schedule: float
    witness: float
    commit: float
    lookups: float
    quotient: float
    opening: float
    rows: list[tuple[str, int, int]]

def build_info() -> BuildInfo:
    """Facts about this build."""

@final
class Program:
    """A program that passed every rule of sections 1 to 3.

    Raises:
        ZktallyError: `program.malformed`, `program.invalid`.
    """

    def __new__(cls, data: bytes) -> Program: ...
    @property
    def program_id(self) -> bytes:
        """32 bytes of SHA-256 (section 4, Identities)."""

    def facts(self) -> str:
        """The program as JSON.

        Keys: program_id, name, batch, step_weight, step_macs, live (of 1024), tensors, tables, ops
        (with gates, own, weight, macs), bounds (section 2), inputs, outputs, states, starts (of
        each state null, its constant, or domain, lo and hi), exports.
        """

@final
class Model:
    """A program with its weights, committed (section 4).

    Args:
        program: a program, or its bytes.
        weights: one array per weight tensor in tensor order; int8, int16 or int32 for width 1, 2
            or 3, of the tensor's size, inside its declared range.
        key: 32 bytes, 8 canonical field elements; zero for a public model. Or, of each weight, the
            key, position and number of its salts, where a run has trained them.
        threads: of this model's runs; 0 for all cores.

    Raises:
        ZktallyError: `program.malformed`, `program.invalid`, `usage`, `usage.input`.
    """

    def __new__(
        cls,
        program: Program | bytes,
        weights: Sequence[_Integers],
        key: bytes | Sequence[tuple[bytes, int, int]],
        threads: int = 0,
    ) -> Model: ...
    @property
    def weights_root(self) -> bytes:
        """The digest of all weights, 32 bytes."""

    @property
    def model_id(self) -> bytes:
        """32 bytes of SHA-256 over program id and weights root."""

    @property
    def weight_roots(self) -> list[bytes]:
        """The root of each weight tensor, in tensor order, 32 bytes each."""

@final
class Dataset:
    """The data set of a training run, committed (section 4).

    Args:
        model: whose program has data tensors.
        arrays: all records, one array per data tensor in tensor order; int8, int16 or int32 for
            width 1, 2 or 3, inside its declared range.
        key: 32 bytes, 8 canonical field elements; zero for a public data set.

    Raises:
        ZktallyError: `usage`, `usage.input`.
    """

    def __new__(cls, model: Model, arrays: Sequence[_Integers], key: bytes) -> Dataset: ...
    @property
    def root(self) -> bytes:
        """The digest by which a caller names the data set, 32 bytes."""

    @property
    def roots(self) -> list[bytes]:
        """The root of each data tensor, in tensor order, 32 bytes each."""

@final
class Executor:
    """A program with its weights, which runs steps that nobody commits to.

    Args:
        program: the bytes of a program without state and prf tensors.
        weights: as those of a `Model`.
        threads: 0 for all cores.

    Raises:
        ZktallyError: `program.malformed`, `program.invalid`, `usage.input`.
    """

    def __new__(
        cls, program: bytes, weights: Sequence[_Integers], threads: int = 0
    ) -> Executor: ...
    def execute(self, inputs: Sequence[_Integers]) -> list[tuple[int, _Integers]]:
        """One step on an array per input tensor: number and array of every value tensor.

        Raises:
            ZktallyError: `usage`, `usage.input`.
        """

    def op_seconds(self) -> list[float]:
        """The time that each op has taken, all runs together."""

@final
class Run:
    """A chain of steps of one model under one run key.

    Args:
        model: the committed model.
        run_key: 32 bytes, 8 canonical field elements. Used twice, it repeats salts.
        prf_seed: likewise, for programs with prf tensors; else None.
        initial_state: one array per state tensor in tensor order; None for the declared one.
        keep_bytes: memory for traces and trees. Executed steps beyond it are executed and committed
            again when they are opened; the proof is the same. Of their states few are kept.
        first: the step of the run that the chain begins with, up to 2^30.
        derived: the seed follows from program, data set and nonce.
        nonce: of a derived seed.
        carried: key and position of the salts of `initial_state`, where another run ended in it.
        data: the data set, for programs with data tensors.

    Raises:
        ZktallyError: `usage`, `usage.input`.
    """

    def __new__(
        cls,
        model: Model,
        run_key: bytes,
        prf_seed: bytes | None,
        initial_state: Sequence[_Integers] | None,
        keep_bytes: int = ...,
        *,
        first: int = 0,
        derived: bool = False,
        nonce: bytes | None = None,
        carried: tuple[bytes, int] | None = None,
        data: Dataset | None = None,
    ) -> Run: ...
    @property
    def dataset_root(self) -> bytes:
        """The root of the data set, 32 bytes; zero without one."""

    def execute(self, inputs: Sequence[_Integers]) -> None:
        """Execute one step on one array per input tensor, in tensor order.

        Raises:
            ZktallyError: `usage.input` for another number, dtype, size or range.
        """

    def push(self, inputs: Sequence[_Integers], values: Sequence[_Integers]) -> None:
        """Append a step executed elsewhere: its input and value tensors, each in tensor order.

        Sizes, dtypes and ranges are checked, not the arithmetic.

        Raises:
            ZktallyError: `usage`, `usage.input`.
        """

    def commit(self) -> None:
        """Build the trees of all steps that have none yet."""

    def statement(self) -> Statement:
        """Commit, then the digests and packed values of all steps.

        Raises:
            ZktallyError: `usage` without steps.
        """

    def final_state(self) -> tuple[list[_Integers], bytes, int]:
        """The state after the last step so far: arrays in tensor order, key and position of salts.

        The key is secret.

        Raises:
            ZktallyError: `usage` without steps.
        """

    def open(self, journal: bytes) -> bytes:
        """The proof section for a journal about all steps of this run.

        Raises:
            ZktallyError: the codes of a journal that does not decode or fit; `verify.too-large`.
        """

    def held_outputs(self) -> bytes:
        """What it takes to show the outputs of steps later: secret as long as these are.

        Of each step the roots of its trees, then port by port the packed values and the salts of
        all leaves.

        Raises:
            ZktallyError: `usage` without steps.
        """

    def values(self, step: int, tensor: int) -> _Integers:
        """The values of an input or value tensor in a step, in its shape.

        Raises:
            ZktallyError: `usage` where there is no such step or tensor.
        """

@final
class HybridProver:
    """The STARKs of one hybrid receipt (docs/hybrid.md).

    Args:
        program: a model, a program, or its bytes.
        journal: the statement, of mode 1.
        openings: the proof section of a fast receipt of the same claims, from `Run.open`.
        profile: 0 standard, 1 small, 2 foldable (docs/stark.md section 8).
        threads: 0 for all cores.

    Raises:
        ZktallyError: the codes of a journal or openings that do not decode or fit;
            `verify.too-large`; `hybrid.unsupported`; `usage`.
    """

    def __new__(
        cls,
        program: Model | Program | bytes,
        journal: bytes,
        openings: bytes,
        profile: int = 0,
        threads: int = 0,
    ) -> HybridProver: ...
    @property
    def segments(self) -> int:
        """How many segments there are to prove."""

    @property
    def stark_bits(self) -> float:
        """Proven bits of one segment (docs/stark.md section 8)."""

    def head(self) -> bytes:
        """What the proof section begins with; the segments follow it in order."""

    def prove_segment(self, segment: int) -> tuple[bytes, SegmentTimings]:
        """The proof of a segment, verified, under fresh masks at every call, and what it took.

        Raises:
            ZktallyError: `usage` for a segment that is not there; `prove.witness` where the
                openings do not pass the checks; `prove.randomness`, `prove.retry`.
        """

    def share(self, segment: int) -> bytes:
        """What a `SegmentProver` proves a segment from: secret, as the openings are.

        It holds the leaves that the segment opens and no others; of noise the seed, where the
        segment reads any.

        Raises:
            ZktallyError: `usage` for a segment that is not there.
        """

    def check(self, segment: int, proof: bytes) -> None:
        """Check the proof of a segment that another made, as the verifier of a receipt would.

        Raises:
            ZktallyError: `usage` for a segment that is not there; `receipt.*`, `verify.stark`.
        """

@final
class SegmentProver:
    """Proves segments of a hybrid receipt from their shares, without the openings of others.

    Args:
        program: a model, a program, or its bytes.
        journal: the statement, of mode 1 or 2.
        profile: 0 standard, 1 small, 2 foldable (docs/stark.md section 8).
        threads: 0 for all cores.

    Raises:
        ZktallyError: the codes of a journal that does not decode or fit; `verify.too-large`;
            `hybrid.unsupported`; `usage`.
    """

    def __new__(
        cls, program: Model | Program | bytes, journal: bytes, profile: int = 0, threads: int = 0
    ) -> SegmentProver: ...
    @property
    def segments(self) -> int:
        """How many segments the receipt has."""

    def prove(self, segment: int, share: bytes) -> bytes:
        """The proof of a segment, verified, under fresh masks at every call.

        Raises:
            ZktallyError: `usage` for a segment that is not there; `verify.journal-mismatch` for the
                share of another statement; `receipt.*` for one that does not decode;
                `prove.witness` where it does not pass the checks; `prove.randomness`;
                `prove.retry`.
        """

@final
class Folder:
    """Foldable receipts on their way to one proof: a tree of proofs that proofs verify.

    Nodes are numbered layer by layer; the last number is that of the outer proof
    (docs/recursion.md).
    """

    @staticmethod
    def of_receipt(
        program: bytes | Program | Model, journal: bytes, proof: bytes, threads: int = 0
    ) -> Folder:
        """For the succinct receipt of a foldable one, whose segments are verified.

        Raises:
            ZktallyError: `usage` for another receipt or one of too many segments; the codes of the
                verifier for its segments.
        """

    @staticmethod
    def of_receipts(receipts: list[bytes], threads: int = 0) -> Folder:
        """For the aggregate of foldable receipts, whose segments are verified.

        Raises:
            ZktallyError: `usage` for receipts of another kind, none, or too many segments; the
                codes of reading a receipt and of the verifier for its segments.
        """

    @property
    def layers(self) -> list[int]:
        """How many nodes each layer has, the outer proof as the last one."""

    def needs(self, node: int) -> list[int]:
        """The nodes that must be there before this one can be proven.

        Raises:
            ZktallyError: `usage` for a node that is not there.
        """

    def share(self, node: int) -> bytes:
        """What a `NodeProver` proves a node from: proofs, and what a verifier knows of them.

        Raises:
            ZktallyError: `usage` for a node that is not there, or that others must come before.
        """

    def prove(self, node: int) -> bytes:
        """The proof of a node, under fresh masks at every call.

        Raises:
            ZktallyError: as `share`; `prove.witness`, `prove.randomness`, `prove.retry`.
        """

    def take(self, node: int, proof: bytes) -> None:
        """Check the proof of a node as the verifier would, and go on from it.

        Raises:
            ZktallyError: as `share`; `receipt.*`, `verify.stark`.
        """

    def finish(self) -> bytes:
        """The proof section of the succinct receipt, or the bytes of the aggregate.

        Raises:
            ZktallyError: `usage` while a node is missing; `prove.too-large`.
        """

@final
class NodeProver:
    """Proves nodes from their shares, of whatever receipts.

    Args:
        threads: 0 for all cores.
    """

    def __new__(cls, threads: int = 0) -> NodeProver: ...
    def prove(self, node: int, share: bytes) -> bytes:
        """The proof of a node, under fresh masks at every call. Whoever gave the share checks it.

        Raises:
            ZktallyError: `usage` for a node that is not there; `receipt.*`, `verify.stark` for a
                share that does not decode; `prove.witness` for proofs that do not verify;
                `prove.randomness`, `prove.retry`.
        """

def hybrid_segments(program: bytes, journal: bytes) -> int:
    """The number of segments of a hybrid receipt with this program and journal.

    Raises:
        ZktallyError: `program.*`, `receipt.*`, `verify.too-large`.
    """

def verify(
    receipt: bytes,
    expectations_json: str,
    inputs: dict[Any, NDArray[Any]] | NDArray[Any] | None = None,
    threads: int = 0,
) -> tuple[str, dict[str, NDArray[np.float32] | NDArray[np.int64]]]:
    """Judge a receipt (section 6; docs/hybrid.md section 7).

    Args:
        receipt: its bytes.
        expectations_json: `verifier.policy.Expectations` as JSON, its policy inside and without its
            inputs: bytes as hexadecimal digits, modes by name, bounds in parts per million.
        inputs: a dict of arrays by port name, or one array for a program with one input; float64 or
            int64; [items, ...], for a port without batch axis [steps, ...] or the port's own shape.
            They are looked at in their turn (step 9), unfit names, shapes and dtypes included.
        threads: 0 for all cores.

    Returns:
        The facts as JSON, the statement among them as from `testing.journal_decode`, without its
        values; and the outputs by port name: float32 (dequantised) or int64, [items, ...], for a
        port without batch axis [steps, ...].

    Raises:
        ZktallyError: every code of these sections; `usage`, `usage.input` for wrong arguments.
    """

def tree_times(rows: int, row: int, threads: int) -> tuple[float, float]:
    """Seconds of one salted tree over `rows` rows of `row` int8 values, and of a SHA-256 tree."""

def verify_aggregate(
    aggregate: bytes, expectations_json: str, threads: int = 0
) -> list[tuple[str, dict[str, NDArray[np.float32] | NDArray[np.int64]]]]:
    """Judge every receipt of an aggregate, each against the expectation that names its model.

    `expectations_json` is a list of what `verify` takes.

    Raises:
        ZktallyError: `receipt.*` of reading the aggregate; for each receipt in order the codes of
            `verify`; of the proof of all.
    """
