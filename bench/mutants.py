"""Honest receipts, and what a liar or a bad disk makes of them, for `zktally bench agree`.

The deep mutants keep all hashes consistent: roots, chain, seed and ids are computed again, so that
what is false is met by the check that it is for.
"""

from __future__ import annotations

import dataclasses
import hashlib
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from .. import _core
from ..prover import Claims, FastRun, prove_job
from ..prover.receipt import encode_receipt
from ..verifier.errors import ZktallyError
from ..verifier.inputs import pack_values, quantise, real_values
from ..verifier.journal import FAST, HYBRID, MODES, STRICT, ZERO_DIGEST, Journal
from ..verifier.labels import LABELS, Rule
from ..verifier.merkle import leaf_digests, opened_roots
from ..verifier.openings import Proof, Trees
from ..verifier.policy import Expectations, Policy
from ..verifier.program.checked import Checked, load
from ..verifier.program.codec import encode, program_id
from ..verifier.program.types import (
    ABSENT,
    Const,
    ConstantStart,
    Div,
    Dot,
    DrawnStart,
    PortKind,
    Program,
    Role,
)
from ..verifier.reader import P
from ..verifier.receipt import MAGIC, split_receipt
from ..verifier.roots import (
    dataset_root,
    digest_bytes,
    input_root,
    seed_commitment,
    state_digests,
    step_root,
    weights_root,
)
from ..verifier.sampling import Counts, make_plan, sample_seed
from ..verifier.stark.params import FOLDABLE
from ..verifier.steps import exported_roots, order_of, seed_of
from .drawn import Random, draw_array

PROVEN: dict[str, int] = {"hybrid": HYBRID, "strict": STRICT}
"""Modes whose receipts hold a proof, by the mode of their journal; all others show openings."""

LAX = Policy(max_delta=0.5, min_bits=1, modes=MODES, outputs_exact=False)

_ROOT = 32
_ENVELOPE = len(MAGIC) + 1
"""Bytes before the length of the first section: the magic and a version."""

_WORDS = (0, 1, 2, 127, 2**16 - 1, 2**20, 2**20 + 1, 500_000, 500_001, 2**31, 2**32 - 1)


@dataclass(frozen=True)
class Subject:
    """An honest receipt, what its caller expects, and what it was made from."""

    mode: str
    checked: Checked
    receipt: bytes
    expectations: Expectations
    run: FastRun
    claims: Claims
    items: int
    key: bytes
    weights: list[np.ndarray]
    initial: list[np.ndarray] | None
    batches: list[list[np.ndarray]]
    setting: Setting


@dataclass(frozen=True)
class Setting:
    """What a run begins with beside its state.

    Attributes:
        first: the step of the run that the chain begins with.
        seed: "own" or "derived".
        nonce: of a derived seed.
        records: the data set, one array per data tensor.
        data_key: of its salts.
    """

    first: int
    seed: str
    nonce: bytes | None
    records: list[np.ndarray]
    data_key: bytes

    def of(self, model: Any) -> dict[str, Any]:
        """As a run of this model takes it."""
        data = _core.Dataset(model, self.records, self.data_key) if self.records else None
        return {"first": self.first, "seed": self.seed, "nonce": self.nonce, "data": data}


@dataclass(frozen=True)
class Trial:
    """What both verifiers are asked: bytes, expectations, and what was done to them, in words."""

    name: str
    receipt: bytes
    expectations: Expectations


class NotProvableError(Exception):
    """This program has no receipt of this mode."""


def draw_subject(rng: Random, checked: Checked, mode: str) -> Subject:
    """An honest receipt of a program, of random inputs and claims.

    Raises:
        NotProvableError: the mode does not cover the program.
    """
    program = checked.program
    weights = [draw_array(program.tensors[t], rng) for t in program.of_role(Role.WEIGHT)]
    initial: list[np.ndarray] | None
    initial = [draw_array(program.tensors[t], rng) for t in program.of_role(Role.STATE)]
    initial = None if program.declares_start and rng.random() < 0.6 else initial
    large = sum(tensor.size for tensor in program.tensors) > 4000
    steps = int(rng.integers(1, 3 if large else 5))
    items = steps * program.batch - int(rng.integers(0, program.batch))
    arrays = {port.name: _caller_array(rng, program, port, steps, items)
              for port in program.inputs}  # fmt: skip
    batches, items = quantise(program, arrays, items)
    key = _key(rng) if rng.random() < 0.5 else bytes(32)
    model = _core.Model(checked.data, weights, key, 1)
    claims = _claims(rng, checked)
    setting = _setting(rng, program, steps, initial is None, claims.nonce)
    run = _run(rng, model, checked, initial, setting)
    for batch in batches:
        run.execute(batch)
    return Subject(
        mode=mode,
        checked=checked,
        receipt=_prove(rng, run, _in_mode(claims, mode), items),
        expectations=Expectations.of(
            model_id=model.model_id,
            policy=LAX,
            inputs=arrays if claims.visibility != "private" and rng.random() < 0.7 else None,
            any_dataset=True,
            **claims.labels,
        ),
        run=run,
        claims=claims,
        items=items,
        key=key,
        weights=weights,
        initial=initial,
        batches=batches,
        setting=setting,
    )


def _setting(
    rng: Random, program: Program, steps: int, declared: bool, nonce: bytes | None
) -> Setting:
    """Somewhere in a run, or at its beginning if that starts as declared."""
    records = [
        draw_array(replace(program.tensors[t], shape=program.tensors[t].tree_shape), rng)
        for t in program.data
    ]
    needed = bool(program.data) or (declared and program.draws_start)
    possible = needed or program.draws_start or bool(program.of_role(Role.PRF))
    derived = needed or (possible and rng.random() < 0.4)
    return Setting(
        first=0 if declared else int(rng.choice([0, 0, 1, 7, 1000, 2**30 - steps])),
        seed="derived" if derived else "own",
        nonce=nonce if derived else None,
        records=records,
        data_key=_key(rng) if rng.random() < 0.5 else bytes(32),
    )


def _run(
    rng: Random,
    model: Any,
    checked: Checked,
    initial: list[np.ndarray] | None,
    setting: Setting,
) -> FastRun:
    own = _key(rng) if setting.seed == "own" else None
    return FastRun(model, checked, initial, run_key=_key(rng), prf_seed=own, **setting.of(model))


def _in_mode(claims: Claims, mode: str) -> Claims:
    """The claims in a receipt of another mode; a strict one has none about samples."""
    if mode == "strict":
        return Claims(mode, visibility=claims.visibility, **claims.labels)
    return replace(claims, mode=mode)


def _prove(rng: Random, run: FastRun, claims: Claims, items: int) -> bytes:
    if claims.mode not in PROVEN:
        return run.prove(claims, items)
    profile = int(rng.integers(0, FOLDABLE + 1))
    try:
        return prove_job(run.job(claims, items, profile))
    except ZktallyError as error:
        raise NotProvableError(error.code) from error


def _caller_array(rng: Random, program: Program, port: Any, steps: int, items: int) -> np.ndarray:
    tensor = program.tensors[port.tensor]
    count, rest = (items, tensor.shape[1:]) if port.batch != ABSENT else (steps, tensor.shape)
    if port.kind is PortKind.INTEGER:
        return draw_array(replace(tensor, shape=(count, *rest)), rng).astype(np.int64)
    middle, spread = (tensor.lo + tensor.hi) / 2 - port.zero, (tensor.hi - tensor.lo) / 2 + 1
    x = rng.uniform(middle - 1.2 * spread, middle + 1.2 * spread, (count, *rest)) * port.scale
    x[rng.random(x.shape) < 0.1] = 0.0
    values: np.ndarray = x.astype(np.float32) if rng.random() < 0.5 else x
    return values


def _claims(rng: Random, checked: Checked) -> Claims:
    names = [op.name for op in checked.program.ops]
    exact: Any = "all" if rng.random() < 0.3 else [n for n in names if rng.random() < 0.2]
    return Claims(
        "fast",
        delta=float(rng.choice([0.5, 0.499999, 0.25, 0.05, 0.01])),
        delta_step=None if rng.random() < 0.7 else float(rng.choice([0.5, 0.4, 0.1])),
        delta_op=None if rng.random() < 0.5 else float(rng.choice([0.5, 0.45])),
        bits=int(rng.choice([2, 3, 20, 64, 100])),
        exact=exact,
        visibility=str(rng.choice(["private", "checkable", "public"])),  # type: ignore[arg-type]
        **{name: _label(rng, rule) for name, rule in LABELS.items()},
    )


def _label(rng: Random, rule: Rule) -> Any:
    if rng.random() < 0.7:
        return None
    if rule.is_text:
        return str(rng.choice(["a", "ß 東", "x" * rule.most]))
    return rng.bytes(int(rng.choice([1, 32, rule.most])))


def _key(rng: Random) -> bytes:
    return rng.integers(0, P, 8).astype("<u4").tobytes()


def honest(subject: Subject) -> Trial:
    """The receipt as it is."""
    return Trial("honest", subject.receipt, subject.expectations)


def draw_mutant(rng: Random, subject: Subject, other: Subject) -> Trial:
    """A mutant of a receipt; `other` is another one to take parts from."""
    while True:
        mutate = _MUTANTS[int(rng.choice(len(_MUTANTS), p=_SHARES))]
        try:
            found = mutate(rng, subject, other)
        except _DoesNotApply:
            continue
        name = mutate.__name__.removeprefix("_").replace("_", " ")
        if isinstance(found, bytes):
            found = Trial(name, found, subject.expectations)
        return replace(found, name=name)


class _DoesNotApply(Exception):
    """This kind of mutant cannot be made of this receipt."""


@dataclass(frozen=True)
class _Parts:
    """The sections of a receipt."""

    program: bytes
    journal: bytes
    proof: bytes

    @classmethod
    def of(cls, subject: Subject) -> _Parts:
        found = split_receipt(subject.receipt)
        return cls(bytes(found.program), bytes(found.journal), bytes(found.proof))

    def encode(self) -> bytes:
        return encode_receipt(self.program, self.journal, self.proof)


# Damage.


def _flipped_bit(rng: Random, subject: Subject, other: Subject) -> bytes:
    return _flip(rng, subject.receipt)


def _flip(rng: Random, data: bytes) -> bytes:
    if not data:
        raise _DoesNotApply
    changed = bytearray(data)
    changed[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def _flipped_bit_of_journal(rng: Random, subject: Subject, other: Subject) -> bytes:
    """Answered by the proof, as far as its head goes."""
    parts = _Parts.of(subject)
    return _answered(replace(parts, journal=_flip(rng, parts.journal))).encode()


def _flipped_bit_near_the_head(rng: Random, subject: Subject, other: Subject) -> bytes:
    parts = _Parts.of(subject)
    head = _flip(rng, parts.proof[:2000])
    return replace(parts, proof=head + parts.proof[2000:]).encode()


def _overwritten_word(rng: Random, subject: Subject, other: Subject) -> bytes:
    """A word of the proof becomes p, the largest word, or zero."""
    parts = _Parts.of(subject)
    at = int(rng.integers(max(1, len(parts.proof) - 3)))
    if rng.random() < 0.5:
        at -= at % 4
    word = int(rng.choice([P, P - 1, 2**32 - 1, 0])).to_bytes(4, "little")
    return replace(parts, proof=_paste(parts.proof, at, word)).encode()


def _paste(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


def _truncated(rng: Random, subject: Subject, other: Subject) -> bytes:
    """Anywhere; half of the time in the proof with its length corrected."""
    parts = _Parts.of(subject)
    if rng.random() < 0.5:
        return subject.receipt[: int(rng.integers(len(subject.receipt)))]
    end = int(rng.integers(len(parts.proof))) if rng.random() < 0.5 else len(parts.proof) - 1
    return replace(parts, proof=parts.proof[: max(0, end)]).encode()


def _extended(rng: Random, subject: Subject, other: Subject) -> bytes:
    parts, more = _Parts.of(subject), rng.bytes(int(rng.integers(1, 70)))
    if rng.random() < 0.3:
        return subject.receipt + more
    section = str(rng.choice(["program", "journal", "proof"]))
    return replace(parts, **{section: getattr(parts, section) + more}).encode()


def _swapped_sections(rng: Random, subject: Subject, other: Subject) -> bytes:
    """One or more sections of another receipt, or in another order."""
    mine, theirs = _Parts.of(subject), _Parts.of(other)
    if rng.random() < 0.3:
        order = rng.permutation(3)
        return encode_receipt(*(dataclasses.astuple(mine)[place] for place in order))
    taken = [name for name in ("program", "journal", "proof") if rng.random() < 0.5]
    return replace(mine, **{name: getattr(theirs, name) for name in taken}).encode()


def _lie_about_a_length(rng: Random, subject: Subject, other: Subject) -> bytes:
    parts = _Parts.of(subject)
    at = _ENVELOPE + int(rng.choice([0, 4 + len(parts.program),
                                      8 + len(parts.program) + len(parts.journal)]))  # fmt: skip
    length = int.from_bytes(subject.receipt[at : at + 4], "little")
    lies = [length + 1, max(0, length - 1), 0, 2**32 - 1, 2**31]
    return _paste(subject.receipt, at, int(rng.choice(lies)).to_bytes(4, "little"))


def _spliced(rng: Random, subject: Subject, other: Subject) -> bytes:
    """A span of the proof of another receipt in its place."""
    mine, theirs = _Parts.of(subject), _Parts.of(other)
    if not theirs.proof:
        raise _DoesNotApply
    start = int(rng.integers(len(theirs.proof)))
    span = theirs.proof[start : start + int(rng.integers(1, 200))]
    at = int(rng.integers(max(1, len(mine.proof) - len(span))))
    return replace(mine, proof=_paste(mine.proof, at, span)).encode()


# Statements with other words.


def _changed_field(rng: Random, subject: Subject, other: Subject) -> bytes:
    """A field of the journal, under a proof that answers it, or does not."""
    parts = _Parts.of(subject)
    journal = Journal.decode(parts.journal)
    theirs = Journal.decode(_Parts.of(other).journal)
    field = dataclasses.fields(Journal)[int(rng.integers(len(dataclasses.fields(Journal))))]
    value = _changed(rng, getattr(journal, field.name), getattr(theirs, field.name))
    try:
        data = replace(journal, **{field.name: value}).encode()
    except (OverflowError, ValueError, AttributeError, TypeError, struct.error):
        raise _DoesNotApply from None
    changed = replace(parts, journal=data)
    return (_answered(changed) if rng.random() < 0.8 else changed).encode()


def _changed(rng: Random, value: Any, theirs: Any) -> Any:
    if rng.random() < 0.2:
        return theirs
    if isinstance(value, int):
        near = [value - 1, value + 1, 2 * value, value // 2]
        return max(0, int(rng.choice([*near, *_WORDS])))
    if isinstance(value, tuple):
        return tuple(rng.integers(0, 9, int(rng.integers(0, 4))).tolist())
    if isinstance(value, bytes) and value:
        return None if rng.random() < 0.1 else _flip(rng, value)
    if isinstance(value, str):
        return value + "x"
    return _key(rng)


def _answered(parts: _Parts) -> _Parts:
    """The proof begins with what names its statement, whichever that is now."""
    try:
        mode = Journal.decode(parts.journal).mode
    except ZktallyError:
        mode = parts.journal[2] if len(parts.journal) > 2 else FAST
    if mode in PROVEN.values():
        head = hashlib.sha256(parts.journal).digest()
    else:
        head = sample_seed(parts.journal)
    return replace(parts, proof=head + parts.proof[_ROOT:])


def _other_mode(rng: Random, subject: Subject, other: Subject) -> bytes:
    """The same proof section under the statement of another mode."""
    parts = _Parts.of(subject)
    mode = int(rng.choice([0, 1, 2, 3]))
    return _answered(replace(parts, journal=_paste(parts.journal, 2, bytes([mode])))).encode()


# Programs and roots, all hashes consistent.


def _rehashed(parts: _Parts, subject: Subject) -> Trial:
    """The digests of the statement follow from program and roots; the caller means that model."""
    journal = replace(Journal.decode(parts.journal), program_id=program_id(parts.program))
    try:
        program = load(parts.program).program
        journal = _of_roots(program, journal, _roots_of(parts, program, journal))
    except ZktallyError:
        pass
    parts = _answered(replace(parts, journal=journal.encode()))
    expected = replace(subject.expectations, model_id=journal.model_id)
    return Trial("", parts.encode(), expected)


def _start_of_roots(journal: Journal) -> int:
    return _ROOT + (journal.mode in PROVEN.values())


def _roots_of(parts: _Parts, program: Program, journal: Journal) -> np.ndarray:
    count, start = len(Trees(program, journal.steps)), _start_of_roots(journal)
    data = parts.proof[start : start + _ROOT * count]
    if len(data) < _ROOT * count:
        raise _DoesNotApply
    roots = np.frombuffer(data, "<u4").astype(np.uint64).reshape(-1, 8)
    if int(roots.max()) >= P:
        raise _DoesNotApply
    return roots


def _of_roots(program: Program, journal: Journal, roots: np.ndarray) -> Journal:
    trees = Trees(program, journal.steps)
    data = len(trees.weights)
    first = data + len(trees.data)
    once = first + len(trees.states)
    stepped = roots[once:].reshape(journal.steps, len(trees.stepped), 8)
    place = {tensor: at for at, tensor in enumerate(trees.stepped)}
    links = {link.state: link.value for link in program.states}
    after = state_digests(stepped[:, [place[links[t]] for t in trees.states]])
    before = np.concatenate([state_digests(roots[None, first:once]), after[:-1]])
    named = weights_root(roots[:data])
    exported = weights_root(exported_roots(program, trees, roots)) if program.exports else None
    records = dataset_root(program.records, roots[data:first]) if program.data else None
    inputs = stepped[:, [place[t] for t in program.of_role(Role.INPUT)]]
    position = journal.first
    journal = replace(journal, dataset_root=records or ZERO_DIGEST)
    seed = seed_of(journal)
    return replace(
        journal,
        weights_root=named,
        prf_seed=journal.prf_seed if seed is None else seed_commitment(seed),
        exported_root=exported or ZERO_DIGEST,
        initial_state=digest_bytes(before[0]),
        final_state=digest_bytes(after[-1]),
        input_root=input_root(inputs, position),
        chain_root=step_root(journal.program_id, named, before, after, stepped, position),
    )


def _flipped_bit_of_program(rng: Random, subject: Subject, other: Subject) -> Trial:
    parts = _Parts.of(subject)
    return _rehashed(replace(parts, program=_flip(rng, parts.program)), subject)


def _changed_byte_of_program(rng: Random, subject: Subject, other: Subject) -> Trial:
    """A byte becomes one that means something: small, or the mark of an absence."""
    parts = _Parts.of(subject)
    at = int(rng.integers(8, len(parts.program)))
    new = bytes([int(rng.choice([0, 1, 2, 3, 4, 5, 127, 128, 255]))])
    return _rehashed(replace(parts, program=_paste(parts.program, at, new)), subject)


def _other_program(rng: Random, subject: Subject, other: Subject) -> Trial:
    """A program with another constant, range, flag or scale, over the same roots."""
    parts = _Parts.of(subject)
    return _rehashed(replace(parts, program=_altered_bytes(rng, subject)), subject)


def _altered_bytes(rng: Random, subject: Subject) -> bytes:
    try:
        return encode(_altered(rng, subject.checked.program))
    except (ZktallyError, OverflowError, struct.error):
        raise _DoesNotApply from None


def _altered(rng: Random, program: Program) -> Program:
    kind = int(rng.integers(6))
    if kind >= 4:
        return _altered_run(rng, program)
    if kind == 0:
        at = int(rng.integers(len(program.tensors)))
        tensor = program.tensors[at]
        side = str(rng.choice(["lo", "hi"]))
        moved = getattr(tensor, side) + int(rng.choice([-5, -1, 1, 5]))
        return replace(program, tensors=_put(program.tensors, at, replace(tensor, **{side: moved})))
    if kind == 1 and program.outputs:
        at = int(rng.integers(len(program.outputs)))
        port = replace(program.outputs[at], zero=int(rng.integers(-9, 9)))
        if port.kind is PortKind.FLOAT:
            port = replace(port, scale=float(rng.choice([1e-300, 0.1, 3.5, 1e308])))
        return replace(program, outputs=_put(program.outputs, at, port))
    at = int(rng.integers(len(program.ops)))
    op = program.ops[at]
    if kind == 2:
        return replace(program, ops=_put(program.ops, at, replace(op, exact=not op.exact)))
    if isinstance(op, Dot | Div):
        op = replace(op, out_zero=op.out_zero + int(rng.choice([-1, 1, 100])))
    if isinstance(op, Dot) and isinstance(op.mult, Const) and rng.random() < 0.5:
        op = replace(op, mult=Const(int(rng.choice([0, 1, op.mult.value + 1, 32767, 32768]))))
    return replace(program, ops=_put(program.ops, at, op))


def _altered_run(rng: Random, program: Program) -> Program:
    """Another start of a state, export or number of records."""
    kind = int(rng.integers(3))
    if kind == 0 and program.declares_start:
        at = int(rng.integers(len(program.states)))
        link = program.states[at]
        start = program.states[int(rng.integers(len(program.states)))].start
        if isinstance(link.start, ConstantStart):
            start = ConstantStart(link.start.value + int(rng.choice([-1, 1, 9])))
        elif isinstance(link.start, DrawnStart) and rng.random() < 0.8:
            start = replace(link.start, **{str(rng.choice(["lo", "hi", "domain"])): 3})
        return replace(program, states=_put(program.states, at, replace(link, start=start)))
    if kind == 1 and program.data:
        at = int(rng.choice(program.data))
        tensor = program.tensors[at]
        records = max(0, (tensor.records or 0) + int(rng.choice([-1, 1, 2**30])))
        return replace(program, tensors=_put(program.tensors, at, replace(tensor, records=records)))
    number = int(rng.integers(len(program.tensors) + 1))
    return replace(program, exports=(*program.exports[1:], number))


def _put(items: tuple[Any, ...], at: int, new: Any) -> tuple[Any, ...]:
    return (*items[:at], new, *items[at + 1 :])


def _other_root(rng: Random, subject: Subject, other: Subject) -> Trial:
    """The root of a tree, and everything above it."""
    parts = _Parts.of(subject)
    start = _start_of_roots(Journal.decode(parts.journal))
    trees = len(Trees(subject.checked.program, Journal.decode(parts.journal).steps))
    at = start + _ROOT * int(rng.integers(trees))
    return _rehashed(replace(parts, proof=_paste(parts.proof, at, _key(rng))), subject)


def _moved_in_its_run(rng: Random, subject: Subject, other: Subject) -> Trial:
    """Another position, start or source of the seed; every hash follows."""
    parts = _Parts.of(subject)
    journal = Journal.decode(parts.journal)
    changes: list[dict[str, Any]] = [
        {"first": int(rng.choice([0, journal.first + 1, 2**30 - journal.steps, 2**30]))},
        {"start": 1 - journal.start},
        {"seed": 1 - journal.seed},
        {"start": 1, "first": 0},
    ]
    changed = replace(journal, **changes[int(rng.integers(len(changes)))])
    return _rehashed(replace(parts, journal=changed.encode()), subject)


def _rewrapped(rng: Random, subject: Subject, other: Subject) -> Trial:
    """Roots of this run, and the proofs of another one."""
    mine, theirs = _Parts.of(subject), _Parts.of(other)
    journal = Journal.decode(mine.journal)
    if journal.mode == FAST or Journal.decode(theirs.journal).mode == FAST:
        raise _DoesNotApply
    end = _start_of_roots(journal) + _ROOT * len(Trees(subject.checked.program, journal.steps))
    return _rehashed(replace(mine, proof=mine.proof[:end] + theirs.proof[end:]), subject)


# Runs that were not honest.


def _wrong_trace(rng: Random, subject: Subject, other: Subject) -> Trial:
    """Values overwritten, committed and opened as if they were true."""
    program = subject.checked.program
    values = program.of_role(Role.VALUE)
    steps = [[subject.run.values(step, t).copy() for t in values]
             for step in range(subject.run.steps)]  # fmt: skip
    for _ in range(int(rng.choice([1, 1, 3]))):
        place = int(rng.integers(len(values)))
        array = steps[int(rng.integers(len(steps)))][place]
        wrong = draw_array(program.tensors[values[place]], rng)
        chosen = rng.random(array.shape) < rng.choice([1.5 / array.size, 0.3, 1])
        array[chosen] = wrong[chosen]
    return _pushed(rng, subject, subject.checked, steps)


def _pushed(rng: Random, subject: Subject, checked: Checked, steps: list[Any]) -> Trial:
    model = _core.Model(checked.data, subject.weights, subject.key, 1)
    try:
        run = _run(rng, model, checked, subject.initial, subject.setting)
        for batch, arrays in zip(subject.batches, steps, strict=True):
            run.push(batch, arrays)
        receipt = run.prove(subject.claims, subject.items)
    except ZktallyError:
        raise _DoesNotApply from None
    expected = replace(subject.expectations, model_id=model.model_id)
    return Trial("", receipt, expected)


def _trace_of_another_program(rng: Random, subject: Subject, other: Subject) -> Trial:
    """This program's values, sold as those of a program with another constant."""
    try:
        checked = load(_altered_bytes(rng, subject))
    except ZktallyError:
        raise _DoesNotApply from None
    values = checked.program.of_role(Role.VALUE)
    steps = [[subject.run.values(step, t) for t in values] for step in range(subject.run.steps)]
    try:
        return _pushed(rng, subject, checked, steps)
    except ZktallyError:
        raise _DoesNotApply from None


def _false_leaf(rng: Random, subject: Subject, other: Subject) -> Trial:
    """An opened value that may leave its range, hashed into its root and all above.

    Where every gate is checked, so that the openings stay the same under another seed.
    """
    parts = _Parts.of(subject)
    journal, checked = Journal.decode(parts.journal), subject.checked
    counts = Counts(checked, journal)
    if journal.mode != FAST or not all(counts.enumerated):
        raise _DoesNotApply
    plan = make_plan(counts, sample_seed(parts.journal))
    trees = Trees(checked.program, journal.steps, order_of(checked.program, journal))
    body = parts.proof[_ROOT:]
    proof = Proof.parse(memoryview(body), trees, plan)
    row = int(rng.integers(len(proof.leaf)))
    tree = int(proof.tree[row])
    tensor = trees.tensor(tree)
    length = int(proof.lengths[row])
    data = bytearray(proof.packed(np.array([row]), length)[0].tobytes())
    half = 1 << 8 * tensor.width - 1
    value = int(rng.choice([tensor.lo, tensor.hi, max(-half, tensor.lo - 1),
                            min(half - 1, tensor.hi + 1)]))  # fmt: skip
    at = tensor.width * int(rng.integers(length // tensor.width))
    data[at : at + tensor.width] = pack_values(np.array([value], np.int32), tensor.width)
    start = len(body) - len(proof._data) + int(proof._offsets[row])
    body = _paste(body, start, bytes(data))
    spoiled = Proof.parse(memoryview(body), trees, plan)
    digests = np.zeros((len(spoiled.leaf), 8), np.uint64)
    for number, size in enumerate(spoiled.lengths.tolist()):
        one = np.array([number])
        digests[one] = leaf_digests(spoiled.packed(one, size), spoiled.salts[one])
    roots = opened_roots(spoiled.openings, digests, spoiled.siblings)
    body = _paste(body, _ROOT * tree, digest_bytes(roots[tree]))
    return _rehashed(replace(parts, proof=parts.proof[:_ROOT] + body), subject)


# Callers who expect something else.


def _other_expectations(rng: Random, subject: Subject, other: Subject) -> Trial:
    expected = subject.expectations
    changes: dict[str, Callable[[], Any]] = {
        "model_id": lambda: _flip(rng, expected.model_id),
        "policy": lambda: _policy(rng),
        "policy ": lambda: _run_policy(rng, subject),
        **{name: partial(_other_label, rng, rule) for name, rule in LABELS.items()},
        "initial_state": lambda: Journal.decode(_Parts.of(subject).journal).initial_state,
        "dataset_root": lambda: Journal.decode(_Parts.of(subject).journal).dataset_root,
        "any_dataset": lambda: False,
        "input_root": lambda: _flip(rng, Journal.decode(_Parts.of(subject).journal).input_root),
        "inputs": lambda: _other_inputs(rng, subject),
    }
    name = str(rng.choice(list(changes)))
    changed = {name.strip(): changes[name]()}
    if name == "dataset_root":
        changed["any_dataset"] = False
        changed[name] = changed[name] if rng.random() < 0.6 else _flip(rng, changed[name])
    return Trial("", subject.receipt, replace(expected, **changed))


def _other_label(rng: Random, rule: Rule) -> Any:
    if rng.random() >= 0.5:
        return None
    return "a" if rule.is_text else b"\1"


def _policy(rng: Random) -> Policy:
    return Policy(
        max_delta=float(rng.choice([0.5, 0.05, 0.01])),
        min_bits=int(rng.choice([1, 64, 100, 128, 200])),
        modes=MODES if rng.random() < 0.7 else (str(rng.choice(MODES)),),
        max_delta_step=None if rng.random() < 0.7 else float(rng.choice([0.5, 0.1])),
        max_delta_op=None if rng.random() < 0.7 else float(rng.choice([0.5, 0.1])),
        outputs_exact=bool(rng.random() < 0.5),
    )


def _run_policy(rng: Random, subject: Subject) -> Policy:
    """What is demanded of a run: near what the receipt has."""
    program = subject.checked.program
    journal = Journal.decode(_Parts.of(subject).journal)
    end, slots = journal.first + journal.steps, program.data_slots or program.batch
    names = [*(port.name for port in program.inputs), "no such input"]
    some = [name for name in names if rng.random() < 0.4]
    demands: dict[str, Any] = {
        "seed": str(rng.choice(["any", "derived", "nonce"])),
        "start": str(rng.choice(["any", "declared"])),
        "max_steps": max(0, end + int(rng.integers(-1, 2))),
        "max_epochs": max(0, program.epochs_begun(end) + int(rng.integers(-1, 2))),
        "batch": (min(slots, int(rng.integers(1, 5))), int(rng.integers(slots, slots + 2))),
        "programs": (_flip(rng, journal.program_id), journal.program_id)[: int(rng.integers(3))],
        "ranges": {name: _range(rng, subject, name) for name in some},
    }
    chosen = [name for name in demands if rng.random() < 0.4]
    return replace(LAX, **{name: demands[name] for name in chosen})


def _range(rng: Random, subject: Subject, name: str) -> tuple[float, float]:
    """Around the values that an input can have, an end at one of them now and then."""
    port = next((p for p in subject.checked.program.inputs if p.name == name), None)
    if port is None:
        return 0.0, 1.0
    tensor = subject.checked.program.tensors[port.tensor]
    ends = real_values(port, np.array([tensor.lo, tensor.hi]))
    cut = float(rng.choice([0.0, 0.0, 0.1]))
    return float(ends[0] + cut * (ends[1] - ends[0])), float(ends[1])


def _other_inputs(rng: Random, subject: Subject) -> Any:
    """Arrays with another value, shape, type or name."""
    given = subject.expectations.inputs
    if not isinstance(given, dict) or not given:
        raise _DoesNotApply
    name = str(rng.choice(list(given)))
    array = np.array(given[name])
    kind = int(rng.integers(6))
    if kind == 0:
        flat = array.reshape(-1)
        flat[int(rng.integers(flat.size))] += 1
        return {**given, name: flat.reshape(array.shape)}
    if kind == 1:
        return {**given, name: array[:-1]}
    if kind == 2:
        return {**given, name: array.astype(np.complex128 if rng.random() < 0.5 else bool)}
    if kind == 3:
        return {**{n: a for n, a in given.items() if n != name}, name + "x": array}
    if kind == 4 and array.dtype.kind == "f":
        array.reshape(-1)[0] = float(rng.choice([np.nan, np.inf, 1e30]))
        return {**given, name: array}
    return {**given, name: np.concatenate([array, array])}


_WEIGHTS: dict[Callable[[Random, Subject, Subject], bytes | Trial], int] = {
    _flipped_bit: 8,
    _flipped_bit_of_journal: 6,
    _flipped_bit_near_the_head: 6,
    _overwritten_word: 4,
    _truncated: 5,
    _extended: 3,
    _swapped_sections: 5,
    _lie_about_a_length: 2,
    _spliced: 4,
    _changed_field: 14,
    _other_mode: 3,
    _flipped_bit_of_program: 8,
    _changed_byte_of_program: 8,
    _other_program: 8,
    _other_root: 4,
    _moved_in_its_run: 6,
    _rewrapped: 2,
    _wrong_trace: 8,
    _trace_of_another_program: 6,
    _false_leaf: 6,
    _other_expectations: 8,
}
_MUTANTS = list(_WEIGHTS)
_SHARES = np.array(list(_WEIGHTS.values())) / sum(_WEIGHTS.values())
