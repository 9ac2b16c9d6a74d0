"""A prover as plain as possible: one tree at a time, Python lists, for receipts of tiny programs.

It shares the hash, the plan and the gate semantics with the verifier, and nothing of how openings
are laid out or checked. Tests spoil `trace`, `trees` and `journal` between the stages.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from zktally.circuits import reference
from zktally.prover.receipt import encode_receipt
from zktally.verifier.gates import reads
from zktally.verifier.inputs import DTYPES, dequantise, pack_values, quantise
from zktally.verifier.journal import DERIVED, OWN, ZERO_DIGEST, Journal, model_id
from zktally.verifier.keys import (
    Class,
    class_key,
    derived_seed,
    drawn_start,
    prf_values,
    salts,
)
from zktally.verifier.layout import locate, to_leaves
from zktally.verifier.merkle import leaf_digests
from zktally.verifier.order import order_key, permuted
from zktally.verifier.policy import Expectations, Policy
from zktally.verifier.poseidon2 import compress
from zktally.verifier.program.checked import check
from zktally.verifier.program.types import ABSENT, ConstantStart, PortKind, Role
from zktally.verifier.roots import (
    dataset_root,
    digest_bytes,
    input_root,
    seed_commitment,
    state_digests,
    step_root,
    weights_root,
)
from zktally.verifier.sampling import Counts, make_plan, sample_seed

from . import programs, training

RUN_KEY = np.arange(1, 9, dtype=np.uint64)
PRF_SEED = np.arange(11, 19, dtype=np.uint64)
DATA_KEY = np.arange(21, 29, dtype=np.uint64)


class Tree:
    """A salted tree over one tensor, all levels kept."""

    def __init__(self, tensor, array, key, position, number):
        """Without a key all salts are zero."""
        self.tensor = tensor
        leaves = to_leaves(tensor.layout, np.asarray(array))
        self.packed = [pack_values(leaf, tensor.width) for leaf in leaves]
        if key is None:
            self.salts = np.zeros((len(leaves), 5), np.uint64)
        else:
            self.salts = salts(key, [position], number, len(leaves))[0]
        level = [
            leaf_digests(np.frombuffer(packed, np.uint8)[None], salt[None])[0]
            for packed, salt in zip(self.packed, self.salts, strict=True)
        ]
        self.levels = [level]
        zero = np.zeros(8, np.uint64)
        while len(level) > 1:
            level = [
                compress(a[None], b[None])[0]
                for a, b in zip(level[::2], [*level[1::2], zero], strict=False)
            ]
            self.levels.append(level)
        self.root = level[0]

    def open(self, leaves):
        """The bytes of section 5 of the proof for this tree."""
        out = b"".join(
            self.packed[leaf] + self.salts[leaf].astype("<u4").tobytes() for leaf in sorted(leaves)
        )
        known = set(leaves)
        for level in self.levels[:-1]:
            missing = sorted({node ^ 1 for node in known} - known)
            out += b"".join(digest_bytes(level[node]) for node in missing if node < len(level))
            known = {node // 2 for node in known}
        return out


class Prover:
    """A run of one of the programs of `programs` or `training`, with random inputs.

    Stages: the constructor executes, `commit` builds trees and the journal, `receipt` opens. A
    chain with `follows` goes on where another one, committed, has ended.
    """

    def __init__(
        self, name, steps=1, items=None, public=True, declared=False, follows=None, hidden=False,
        **claims,
    ):  # fmt: skip
        program, self.weights = {**programs.EVERY, **training.EVERY}[name]()
        self.checked = check(program)
        self.declared = declared
        self.first = 0 if follows is None else follows.first + follows.steps
        self.program = program
        self.steps = steps
        self.items = steps * program.batch if items is None else items
        self.public, self.hidden = public, hidden
        self.claims = {
            "delta_ppm": 50_000, "delta_step_ppm": 0, "delta_op_ppm": 0, "bits": 102, "exact": (),
            "audience": None, "nonce": None, **claims,
        }  # fmt: skip
        self.has_prf = bool(program.of_role(Role.PRF))
        self.derived = bool(program.data) or (declared and program.draws_start)
        self.data = {
            t: programs.random_records(program.tensors[t], np.random.default_rng(t))
            for t in program.data
        }
        self.data_trees = {
            t: Tree(program.tensors[t], self.data[t], DATA_KEY, 0, rank)
            for rank, t in enumerate(program.data)
        }
        self.seed = self._seed()
        rng = np.random.default_rng(5 + self.first)
        self.inputs = {}
        for port in program.inputs:
            tensor = program.tensors[port.tensor]
            batched = port.batch != ABSENT
            rest = tensor.shape[1:] if batched else tensor.shape
            shape = (self.items if batched else steps, *rest)
            values = rng.integers(tensor.lo, tensor.hi + 1, shape)
            is_float = port.kind is PortKind.FLOAT
            self.inputs[port.name] = dequantise(port, values) if is_float else values
        batches, _ = quantise(program, self.inputs, self.items)
        numbers = program.of_role(Role.INPUT)
        state = {
            link.state: programs.random_array(program.tensors[link.state], rng)
            for link in program.states
        }
        if declared:
            state = {link.state: self.start_of(link) for link in program.states}
        if follows is not None:
            state = {link.state: follows.trace[-1][link.value] for link in program.states}
        self.initial, self.follows = dict(state), follows
        self.trace = []
        for step, batch in enumerate(batches):
            arrays = reference.run(
                self.checked,
                dict(zip(numbers, batch, strict=True)),
                self.weights,
                state,
                lambda tensor, step=step: self.noise(tensor, step),
                {t: self.batch(t, step) for t in program.data},
            )
            self.trace.append(arrays)
            state = {link.state: arrays[link.value] for link in program.states}

    def _seed(self):
        if not self.derived:
            return PRF_SEED
        return derived_seed(self.checked.id, self._dataset_root(), self.claims["nonce"])

    def _dataset_root(self):
        roots = np.array([tree.root for tree in self.data_trees.values()], np.uint64)
        return dataset_root(self.program.records, roots) if len(roots) else ZERO_DIGEST

    def start_of(self, link):
        """What a state starts with, as the program declares it."""
        tensor, start = self.program.tensors[link.state], link.start
        if isinstance(start, ConstantStart):
            return np.full(tensor.shape, start.value, DTYPES[tensor.width])
        offsets = np.arange(tensor.size).reshape(tensor.shape)
        drawn = drawn_start(self.seed, start.domain, offsets, start.lo, start.hi)
        return drawn.astype(DTYPES[tensor.width])

    def records_of(self, step):
        """The records that a step of the chain reads, slot by slot."""
        slots, records = self.program.data_slots, self.program.records
        read = np.arange(slots) + (self.first + step) * slots
        epochs, places = np.divmod(read, records // slots * slots)
        return permuted(order_key(self.seed), records, epochs, places)

    def batch(self, t, step):
        """What a step reads of a data tensor."""
        return self.data[t][self.records_of(step)]

    def noise(self, tensor, step):
        """What a prf tensor holds in a step of the chain."""
        offsets = np.arange(tensor.size).reshape(tensor.shape)
        at = self.first + step
        return prf_values(self.seed, at, tensor.domain, offsets, tensor.lo, tensor.hi)

    def commit(self):
        """Build all trees and the journal."""
        program = self.program
        keys = {number: class_key(RUN_KEY, number) for number in Class}
        links = {link.value: link.state for link in program.states}

        def tree(number, array, key, position, salted_as=None):
            name = number if salted_as is None else salted_as
            return Tree(program.tensors[number], array, key, position, name)

        self.trees = {}
        for t in program.of_role(Role.WEIGHT):
            self.trees["weight", t] = tree(t, self.weights[t], np.zeros(8, np.uint64), 0)
        for t in program.data:
            self.trees["data", t] = self.data_trees[t]
        key = None if self.declared else keys[Class.STATES]
        for t in program.of_role(Role.STATE):
            self.trees["initial", t] = tree(t, self.initial[t], key, self.first)
        for j, arrays in enumerate(self.trace):
            at = self.first + j
            for t in program.of_role(Role.INPUT, Role.VALUE):
                if t in links:
                    made = tree(t, arrays[t], keys[Class.STATES], at + 1, links[t])
                elif program.tensors[t].role is Role.INPUT:
                    made = tree(t, arrays[t], keys[Class.INPUTS], at)
                else:
                    made = tree(t, arrays[t], keys[Class.VALUES], at)
                self.trees[j, t] = made
        self.journal = self._journal(digest_bytes(keys[Class.INPUTS]))
        return self

    def _roots(self, *names):
        found = [self.trees[name].root for name in names]
        return np.array(found, np.uint64).reshape(len(found), 8)

    def _journal(self, input_key):
        program = self.program
        states, inputs = program.of_role(Role.STATE), program.of_role(Role.INPUT)
        stepped = program.of_role(Role.INPUT, Role.VALUE)
        linked = {link.state: link.value for link in program.states}
        weights = weights_root(self._roots(*(("weight", t) for t in program.of_role(Role.WEIGHT))))
        steps = range(self.steps)
        initial = state_digests(self._roots(*(("initial", t) for t in states))[None])
        after = state_digests(
            np.array([self._roots(*((j, linked[t]) for t in states)) for j in steps])
        )
        before = np.concatenate([initial, after[:-1]])
        all_inputs = np.array([self._roots(*((j, t) for t in inputs)) for j in steps])
        roots = np.array([self._roots(*((j, t) for t in stepped)) for j in steps])

        def packed(ports):
            return b"".join(
                pack_values(arrays[port.tensor], program.tensors[port.tensor].width)
                for arrays in self.trace
                for port in ports
            )

        return Journal(
            mode=0,
            program_id=self.checked.id,
            weights_root=weights,
            steps=self.steps,
            items=self.items,
            dataset_root=self._dataset_root(),
            first=self.first,
            chain_root=step_root(self.checked.id, weights, before, after, roots, self.first),
            input_root=input_root(all_inputs, self.first),
            initial_state=digest_bytes(initial[0]),
            final_state=digest_bytes(after[-1]),
            exported_root=self._exported_root(),
            prf_seed=seed_commitment(self.seed) if self.has_prf or self.derived else ZERO_DIGEST,
            seed=DERIVED if self.derived else OWN,
            start=int(self.declared),
            input_key=input_key,
            inputs=packed(program.inputs) if self.public else None,
            outputs=b"" if self.hidden else packed(program.outputs),
            **self.claims,
        )

    def _exported_root(self):
        names = [self._tree_of(t, self.steps) for t in self.program.exports]
        return weights_root(self._roots(*names)) if names else ZERO_DIGEST

    def change(self, **fields):
        """Change the journal."""
        self.journal = replace(self.journal, **fields)
        return self

    def receipt(self, outputs=None):
        """Open what the journal asks for; or the leaves of all outputs, or not, as one likes."""
        program, journal = self.program, self.journal.encode()
        plan = make_plan(Counts(self.checked, self.journal), sample_seed(journal))
        opened = {name: set() for name in self.trees}
        for c, op in enumerate(program.ops):
            for step, gates in plan.steps_of(c):
                for t, offsets in ((op.out, gates), *reads(program, op, gates)):
                    tensor = program.tensors[t]
                    if tensor.role is not Role.PRF:
                        offsets = self._in_tree(t, step, offsets)
                        leaf, _ = locate(tensor.layout, tensor.tree_shape, offsets)
                        opened[self._tree_of(t, step)].update(leaf.tolist())
        opens = self.journal.publishes if outputs is None else outputs
        for port in program.outputs if opens else ():
            for step in range(self.steps):
                count = len(self.trees[step, port.tensor].packed)
                opened[step, port.tensor] = set(range(count))
        proof = sample_seed(journal)
        proof += b"".join(digest_bytes(tree.root) for tree in self.trees.values())
        proof += digest_bytes(self.seed) if self.has_prf and self.journal.seed == OWN else b""
        proof += b"".join(self.trees[name].open(leaves) for name, leaves in opened.items())
        return encode_receipt(self.checked.data, journal, proof)

    def _tree_of(self, t, step):
        role = self.program.tensors[t].role
        if role is Role.WEIGHT:
            return "weight", t
        if role is Role.DATA:
            return "data", t
        if role is not Role.STATE:
            return step, t
        link = next(link for link in self.program.states if link.state == t)
        return ("initial", t) if step == 0 else (step - 1, link.value)

    def _in_tree(self, t, step, offsets):
        """Offsets of elements that a step reads, in the tensor that the tree is over."""
        tensor = self.program.tensors[t]
        if tensor.records is None:
            return offsets
        inner = tensor.size // tensor.shape[0]
        return self.records_of(step)[offsets // inner] * inner + offsets % inner

    def expectations(self, **changes):
        """What a caller expects who knows the model."""
        policy = Policy(
            max_delta=0.5, min_bits=1, outputs_exact=changes.pop("outputs_exact", False)
        )
        return Expectations.of(
            **{
                "model_id": model_id(self.journal.program_id, self.journal.weights_root),
                "policy": policy,
                "audience": self.journal.audience,
                "nonce": self.journal.nonce,
                "dataset_root": self.journal.dataset_root if self.program.data else None,
                **changes,
            }
        )
