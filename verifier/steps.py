"""What all modes share of a verification: steps 1 to 6, 8 and 9 of protocol.md section 6.

Whatever the bytes are, only errors of `errors` come out, and the first failure is the one reported;
an independent verifier in Rust reports the same code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .building import start_root
from .errors import (
    ChainBroken,
    InvalidProof,
    JournalMismatch,
    MalformedReceipt,
    ProgramMismatch,
    UnsupportedReceipt,
)
from .gates import Ints
from .inputs import dequantise, packed_size, quantise, unpack_ports
from .journal import (
    DECLARED,
    DERIVED,
    MAX_POSITION,
    MODES,
    OWN,
    ZERO_DIGEST,
    Journal,
)
from .keys import derived_seed
from .openings import Trees
from .order import Order, order_key
from .policy import Expectations
from .poseidon2 import DIGEST, Elements
from .program.checked import Checked, load
from .program.codec import program_id
from .program.types import ABSENT, Program, Role
from .quoting import quoted
from .receipt import Sections, as_receipt, split_receipt
from .roots import (
    dataset_root,
    digest_bytes,
    digest_elements,
    input_root,
    input_tree_roots,
    seed_commitment,
    state_digests,
    step_root,
    weights_root,
)
from .sampling import Counts

Outputs = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Statement:
    """A statement that is about what the caller means and claims what the caller demands.

    Attributes:
        sections: of the receipt.
        journal: the statement.
        checked: the program.
        counts: of the samples that its claims need.
        receipt_bytes: the size of the receipt.
    """

    sections: Sections
    journal: Journal
    checked: Checked
    counts: Counts
    receipt_bytes: int

    @cached_property
    def seed(self) -> Elements | None:
        """The seed of the run [8] where it follows from the statement, else None."""
        return seed_of(self.journal)

    @cached_property
    def order(self) -> Order | None:
        """The order of the records, None without a data set."""
        return order_of(self.checked.program, self.journal)


def seed_of(journal: Journal) -> Elements | None:
    """The seed [8] that follows from a statement, None where the prover has its own."""
    if journal.seed == OWN:
        return None
    return derived_seed(journal.program_id, journal.dataset_root, journal.nonce)


def order_of(program: Program, journal: Journal) -> Order | None:
    """The order in which the steps of a statement read records, None without a data set."""
    seed = seed_of(journal)
    if seed is None or not program.data:
        return None
    key, slots = order_key(seed), program.data_slots
    return Order(key, program.records, slots, journal.first, journal.steps)


def judge_statement(
    receipt: bytes | bytearray | memoryview, expectations: Expectations, modes: tuple[int, ...]
) -> Statement:
    """Sections 1 to 6: everything before the proof.

    Args:
        receipt: its bytes.
        expectations: what the caller means and demands.
        modes: that the caller can judge.

    Raises:
        MalformedReceipt, UnsupportedReceipt, MalformedProgram, InvalidProgram: it cannot be judged.
        VerificationFailed: it was judged and refused.
        UsageError: the receipt is no bytes.
    """
    receipt = as_receipt(receipt)
    sections = split_receipt(receipt)  # 1. Envelope.
    return judge_sections(sections, len(receipt), expectations, modes)


def judge_sections(
    sections: Sections,
    size: int,
    expectations: Expectations,
    modes: tuple[int, ...],
    programs: dict[bytes, Checked] | None = None,
) -> Statement:
    """Sections 2 to 6, in a file of so many bytes; see `judge_statement`.

    Programs that were judged before are in `programs`, and are not judged again.
    """
    journal = Journal.decode(sections.journal)  # 2. Journal.
    _of_mode(journal, modes)
    _identify(sections.program, journal, expectations)  # 3. Program id, model id.
    checked = _load(bytes(sections.program), {} if programs is None else programs)  # 4. Program.
    _fit(checked.program, journal)  # 5. Journal against program.
    counts = Counts(checked, journal)
    expectations.judge(counts)  # 6. Policy and expectations.
    return Statement(sections, journal, checked, counts, size)


def _load(program: bytes, known: dict[bytes, Checked]) -> Checked:
    if program not in known:
        known[program] = load(program)
    return known[program]


def _of_mode(journal: Journal, modes: tuple[int, ...]) -> None:
    if journal.mode not in modes:
        raise UnsupportedReceipt(
            "a statement of another mode",
            code="receipt.unsupported-mode",
            expected=" or ".join(MODES[mode] for mode in modes),
            received=MODES[journal.mode],
        )


def _identify(program: memoryview, journal: Journal, expectations: Expectations) -> None:
    """3. Only a program that the caller means is looked at any further."""
    found = program_id(bytes(program))
    if found != journal.program_id:
        raise ProgramMismatch(
            "the statement is about another program than the receipt holds",
            code="verify.program-mismatch",
            expected=journal.program_id.hex(),
            received=found.hex(),
        )
    if journal.model_id != expectations.model_id:
        raise ProgramMismatch(
            "the receipt is about another model",
            code="verify.model-mismatch",
            expected=expectations.model_id.hex(),
            received=journal.model_id.hex(),
            hint="the model id comes from whoever you trust to name the model, not from the prover",
        )


def _fit(program: Program, journal: Journal) -> None:
    """5. What the statement must be for this program."""
    steps, batch = journal.steps, program.batch
    for name, packed, ports in (
        # All of them or none: hidden outputs are bound by the chain root.
        ("outputs", journal.outputs, journal.published(program.outputs)),
        ("inputs", journal.inputs, program.inputs),
    ):
        length = steps * sum(packed_size(program, port) for port in ports)
        if packed is not None and len(packed) != length:
            raise _unfit(f"{name} have a wrong length", f"{length} bytes", f"{len(packed)} bytes")
    for op in journal.exact:
        if op >= len(program.ops) or program.ops[op].exact:
            raise _unfit("the exact list names a wrong op", "ops not flagged in the program", op)
    if not (steps - 1) * batch < journal.items <= steps * batch:
        least, most = (steps - 1) * batch + 1, steps * batch
        raise _unfit("items do not fit the steps", f"{least} to {most}", journal.items)
    _fit_digests(program, journal)
    _fit_run(program, journal)


def _fit_digests(program: Program, journal: Journal) -> None:
    """5. Digests are zero exactly of what there is not; a state's digest can be any."""
    absent = [] if program.states else [journal.initial_state, journal.final_state]
    if any(digest != ZERO_DIGEST for digest in absent):
        raise _unfit("a digest of something that the program does not have", "zero", "a digest")
    seeded = bool(program.of_role(Role.PRF)) or journal.seed == DERIVED
    for name, exists, digest in (
        ("dataset root", bool(program.data), journal.dataset_root),
        ("exported root", bool(program.exports), journal.exported_root),
        ("seed commitment", seeded, journal.prf_seed),
    ):
        if exists == (digest == ZERO_DIGEST):
            wanted = "a digest" if exists else "zero"
            raise _unfit(f"the {name} is not as the program has it", wanted, digest.hex())


def _fit_run(program: Program, journal: Journal) -> None:
    """5. Where in its run the chain stands, what it starts from, and where its seed comes from."""
    if journal.first + journal.steps > MAX_POSITION:
        end = journal.first + journal.steps
        raise _unfit("the run is too long", f"at most {MAX_POSITION} steps", end)
    declared = journal.start == DECLARED
    if declared and (journal.first or not program.declares_start):
        raise _unfit(
            "a declared start", "step 0 of a program that declares one", f"step {journal.first}"
        )
    drawn = program.draws_start
    if journal.seed == DERIVED and not (program.of_role(Role.PRF, Role.DATA) or drawn):
        raise _unfit("a derived seed of a program that needs none", OWN, journal.seed)
    if journal.seed == OWN and (program.data or (declared and drawn)):
        raise _unfit("a seed of the prover's own", "derived: it orders or draws", journal.seed)


def hash_roots(
    statement: Statement,
    trees: Trees,
    roots: Elements,
    prf_seed: Elements | None = None,
) -> None:
    """8. The roots of all trees hash to the digests of the statement, and so does the seed.

    Args:
        statement: what is claimed.
        trees: of the receipt.
        roots: of all trees, [trees, 8].
        prf_seed: of the prover's own, where the proof shows it.
    """
    journal, checked = statement.journal, statement.checked
    data = len(trees.weights)
    first = data + len(trees.data)
    once = first + len(trees.states)
    weights, states = roots[:data], roots[first:once]
    stepped = roots[once:].reshape(journal.steps, len(trees.stepped), -1)
    place = {tensor: place for place, tensor in enumerate(trees.stepped)}
    inputs = stepped[:, [place[t] for t in checked.program.of_role(Role.INPUT)]]
    links = {link.state: link.value for link in checked.program.states}
    linked = stepped[:, [place[links[t]] for t in trees.states]]

    _same("verify.weights-root", weights_root(weights), journal.weights_root)
    if trees.data:
        found = dataset_root(checked.program.records, roots[data:first])
        _same("verify.dataset-root", found, journal.dataset_root)
    _judge_seed(journal, prf_seed if statement.seed is None else statement.seed)
    after = state_digests(linked)
    before = np.concatenate([state_digests(states[None]), after[:-1]])
    _same("verify.initial-state", digest_bytes(before[0]), journal.initial_state)
    if journal.start == DECLARED:  # even of a state that the caller named: the claim is shown
        _judge_start(statement, states)
    _same("verify.input-root", input_root(inputs, journal.first), journal.input_root)
    _same("verify.final-state", digest_bytes(after[-1]), journal.final_state)
    if checked.program.exports:
        exported = exported_roots(checked.program, trees, roots)
        _same("verify.exported-root", weights_root(exported), journal.exported_root)
    root = step_root(
        journal.program_id, journal.weights_root, before, after, stepped, journal.first
    )
    _same("verify.chain-root", root, journal.chain_root)


def exported_roots(program: Program, trees: Trees, roots: Elements) -> Elements:
    """The roots [exports, 8] of what is exported: of states, those that the last step ends in."""
    numbers = [trees.number(tensor, trees.steps) for tensor in program.exports]
    return roots[numbers]


def judge_origin(statement: Statement, trees: Trees) -> None:
    """8. What a statement alone says of seed and start, where the proof shows the rest."""
    journal = statement.journal
    _judge_seed(journal, statement.seed)
    if journal.start != DECLARED:
        return
    roots = np.stack([_declared_root(statement, number) for number in trees.states])
    found = digest_bytes(state_digests(roots[None])[0])
    if found != journal.initial_state:
        raise ChainBroken(
            "the chain does not start as the program declares",
            code="verify.start",
            expected=found.hex(),
            received=journal.initial_state.hex(),
        )


def _judge_seed(journal: Journal, seed: Elements | None) -> None:
    """8. A seed that is known is the one that the statement names."""
    if seed is not None:
        _same("verify.prf-seed", seed_commitment(seed), journal.prf_seed)


def _declared_root(statement: Statement, number: int) -> Elements:
    """The root [8] of a state that starts as the program declares."""
    program = statement.checked.program
    seed = np.zeros(DIGEST, np.uint64) if statement.seed is None else statement.seed
    start = next(link.start for link in program.states if link.state == number and link.start)
    return start_root(program.tensors[number], start, seed)


def _judge_start(statement: Statement, roots: Elements) -> None:
    """8. The states that the chain starts from are those that the program declares."""
    program = statement.checked.program
    for number, root in zip(program.of_role(Role.STATE), roots, strict=True):
        found = _declared_root(statement, number)
        if (found != root).any():
            raise ChainBroken(
                f"state {quoted(program.tensors[number].name)} does not start as the program "
                "declares",
                code="verify.start",
                expected=digest_bytes(found).hex(),
                received=digest_bytes(root).hex(),
            )


def compare_inputs(
    program: Program,
    journal: Journal,
    trees: Trees,
    roots: Elements | None,
    expectations: Expectations,
) -> None:
    """9. Values of the inputs, the statement's and the caller's, against the committed ones.

    Args:
        program: of the statement.
        journal: the statement.
        trees: of the receipt.
        roots: of all trees, [trees, 8]; None where the proof shows none, so that all values
            together are held against the input root of the statement.
        expectations: of the caller.
    """
    committed = _InputRoots(program, journal, trees, roots)
    if journal.inputs is not None:
        _compare_published(program, journal, committed)
    if expectations.inputs is None:
        return
    if journal.input_key is None:
        raise private_inputs()
    count = None if program.inputs else journal.items
    batches, items = quantise(program, expectations.inputs, count)
    batched = any(port.batch != ABSENT for port in program.inputs)
    if len(batches) != journal.steps or (batched and items != journal.items):
        raise JournalMismatch(
            "the receipt is about another number of items",
            code="verify.input-mismatch",
            expected=f"{items} items in {len(batches)} steps",
            received=f"{journal.items} items in {journal.steps} steps",
        )
    arrays = {
        number: np.stack([batch[place] for batch in batches])
        for place, number in enumerate(program.of_role(Role.INPUT))
    }
    if roots is None:
        committed.compare_all(arrays)
        return
    for number, array in arrays.items():
        wrong = np.flatnonzero(committed.differ(number, array))
        if len(wrong):
            raise committed.mismatch(number, array, int(wrong[0]))


def private_inputs() -> JournalMismatch:
    """The error where the caller's inputs are to be compared, and the key is not published."""
    return JournalMismatch(
        "the receipt keeps its inputs private, so yours cannot be compared with them",
        code="verify.input-mismatch",
        expected="a receipt with inputs that are checkable or public",
        received="private inputs",
        hint="ask the prover for --input-visibility checkable; or compare the root of the inputs, "
        "if you know it: --input-root",
    )


def _compare_published(program: Program, journal: Journal, roots: _InputRoots) -> None:
    """Step by step, port by port: ranges, then roots; without roots all ranges first."""
    published = unpack_ports(program, program.inputs, journal.inputs or b"", journal.steps)
    failures = []
    for place, port in enumerate(program.inputs):
        tensor, array = program.tensors[port.tensor], published[port.tensor]
        flat = array.reshape(journal.steps, -1)
        outside = (flat.min(1) < tensor.lo) | (flat.max(1) > tensor.hi)
        failed = np.flatnonzero(outside | roots.differ(port.tensor, array))
        failures += [(int(step), place, bool(outside[step])) for step in failed[:1]]
    if not failures:
        roots.compare_all(published)
        return
    step, place, is_outside = min(failures)
    port = program.inputs[place]
    if is_outside:
        raise InvalidProof(
            f"the published input {quoted(port.name)} is out of its range in step {step}",
            code="verify.range",
        )
    raise roots.mismatch(port.tensor, published[port.tensor], step)


class _InputRoots:
    """Compares values of inputs with the committed ones, by the published key of their salts.

    With the roots of all trees step by step, without them all together with the input root.
    """

    def __init__(
        self, program: Program, journal: Journal, trees: Trees, roots: Elements | None
    ) -> None:
        self._program, self._trees, self._roots = program, trees, roots
        self._key = digest_elements(journal.input_key or ZERO_DIGEST)
        self._first, self._claimed = journal.first, journal.input_root

    def compare_all(self, arrays: Mapping[int, NDArray[np.signedinteger[Any]]]) -> None:
        """Where no roots are shown, hold the values [steps, *shape] of all inputs to their root."""
        if self._roots is not None:
            return
        numbers = self._program.of_role(Role.INPUT)
        shape = (self._trees.steps, len(numbers), DIGEST)
        roots = np.zeros(shape, np.uint64)
        for place, number in enumerate(numbers):
            roots[:, place] = self._of(number, arrays[number])
        found = input_root(roots, self._first)
        if found != self._claimed:
            raise JournalMismatch(
                "the inputs are not the committed ones",
                code="verify.input-mismatch",
                expected=self._claimed.hex(),
                received=found.hex(),
            )

    def differ(self, tensor: int, arrays: NDArray[np.signedinteger[Any]]) -> NDArray[np.bool_]:
        """Per step, whether these values [steps, *shape] are not those of the root; of none no."""
        if self._roots is None:
            return np.zeros(self._trees.steps, bool)
        trees = [self._trees.number(tensor, step) for step in range(self._trees.steps)]
        found = self._of(tensor, arrays)
        different: NDArray[np.bool_] = (found != self._roots[trees]).any(axis=1)
        return different

    def mismatch(
        self, tensor: int, arrays: NDArray[np.signedinteger[Any]], step: int
    ) -> JournalMismatch:
        """The error for values that differ in a step."""
        if self._roots is None:
            raise TypeError("without roots inputs are compared all together")
        name = self._program.tensors[tensor].name
        return JournalMismatch(
            f"input {quoted(name)} of step {step} is not the committed one",
            code="verify.input-mismatch",
            expected=digest_bytes(self._roots[self._trees.number(tensor, step)]).hex(),
            received=digest_bytes(self._of(tensor, arrays)[step]).hex(),
        )

    def _of(self, tensor: int, arrays: NDArray[np.signedinteger[Any]]) -> Elements:
        """The roots [steps, 8] of these values."""
        of = self._program.tensors[tensor]
        return input_tree_roots(self._key, tensor, of, arrays, self._first)


def claimed_outputs(program: Program, journal: Journal) -> dict[int, Ints]:
    """The statement's outputs by tensor, [steps, *shape]; none where they are hidden."""
    ports = journal.published(program.outputs)
    return unpack_ports(program, ports, journal.outputs, journal.steps)


def to_caller(program: Program, journal: Journal, claimed: Mapping[int, Ints]) -> Outputs:
    """The statement's outputs as the caller knows them, by port name; none where hidden."""
    outputs = {}
    for port in journal.published(program.outputs):
        array = claimed[port.tensor]
        if port.batch != ABSENT:
            array = array.reshape(-1, *array.shape[2:])[: journal.items]
        outputs[port.name] = dequantise(port, array)
    return outputs


def _same(code: str, found: bytes, claimed: bytes) -> None:
    if found != claimed:
        raise ChainBroken(
            f"the roots of the proof do not hash to the {code.removeprefix('verify.')}",
            code=code,
            expected=claimed.hex(),
            received=found.hex(),
        )


def _unfit(message: str, expected: object, received: object) -> MalformedReceipt:
    return MalformedReceipt(
        message, code="receipt.non-canonical", expected=expected, received=received
    )
