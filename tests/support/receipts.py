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
from zktally.verifier.inputs import dequantise, pack_values, quantise
from zktally.verifier.journal import ZERO_DIGEST, Journal, model_id
from zktally.verifier.keys import Class, class_key, prf_values, salts
from zktally.verifier.layout import locate, to_leaves
from zktally.verifier.merkle import leaf_digests
from zktally.verifier.policy import Expectations, Policy
from zktally.verifier.poseidon2 import compress
from zktally.verifier.program.checked import check
from zktally.verifier.program.types import ABSENT, PortKind, Role
from zktally.verifier.roots import (
    digest_bytes,
    input_root,
    seed_commitment,
    state_digests,
    step_root,
    weights_root,
)
from zktally.verifier.sampling import Counts, make_plan, sample_seed

from . import programs

RUN_KEY = np.arange(1, 9, dtype=np.uint64)
PRF_SEED = np.arange(11, 19, dtype=np.uint64)


class Tree:
    """A salted tree over one tensor, all levels kept."""

    def __init__(self, tensor, array, key, position, number):
        self.tensor = tensor
        leaves = to_leaves(tensor.layout, np.asarray(array))
        self.packed = [pack_values(leaf, tensor.width) for leaf in leaves]
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
    """A run of one of the programs of `programs`, with random inputs.

    Stages: the constructor executes, `commit` builds trees and the journal, `receipt` opens.
    """

    def __init__(self, name, steps=1, items=None, public=True, **claims):
        program, self.weights = programs.EVERY[name]()
        self.checked = check(program)
        self.program = program
        self.steps = steps
        self.items = steps * program.batch if items is None else items
        self.public = public
        self.claims = {
            "delta_ppm": 50_000, "delta_step_ppm": 0, "delta_op_ppm": 0, "bits": 102, "exact": (),
            "audience": None, "nonce": None, **claims,
        }  # fmt: skip
        self.has_prf = bool(program.of_role(Role.PRF))
        rng = np.random.default_rng(5)
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
        self.initial = dict(state)
        self.trace = []
        for step, batch in enumerate(batches):
            arrays = reference.run(
                self.checked,
                dict(zip(numbers, batch, strict=True)),
                self.weights,
                state,
                lambda tensor, step=step: self._prf(tensor, step),
            )
            self.trace.append(arrays)
            state = {link.state: arrays[link.value] for link in program.states}

    def _prf(self, tensor, step):
        offsets = np.arange(tensor.size).reshape(tensor.shape)
        return prf_values(PRF_SEED, step, tensor.domain, offsets, tensor.lo, tensor.hi)

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
        for t in program.of_role(Role.STATE):
            self.trees["initial", t] = tree(t, self.initial[t], keys[Class.STATES], 0)
        for j, arrays in enumerate(self.trace):
            for t in program.of_role(Role.INPUT, Role.VALUE):
                if t in links:
                    made = tree(t, arrays[t], keys[Class.STATES], j + 1, links[t])
                elif program.tensors[t].role is Role.INPUT:
                    made = tree(t, arrays[t], keys[Class.INPUTS], j)
                else:
                    made = tree(t, arrays[t], keys[Class.VALUES], j)
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
            chain_root=step_root(self.checked.id, weights, before, after, roots),
            input_root=input_root(all_inputs),
            initial_state=digest_bytes(initial[0]),
            final_state=digest_bytes(after[-1]),
            prf_seed=seed_commitment(PRF_SEED) if self.has_prf else ZERO_DIGEST,
            input_key=input_key,
            inputs=packed(program.inputs) if self.public else None,
            outputs=packed(program.outputs),
            **self.claims,
        )

    def change(self, **fields):
        """Change the journal."""
        self.journal = replace(self.journal, **fields)
        return self

    def receipt(self):
        """Open what the journal asks for."""
        program, journal = self.program, self.journal.encode()
        plan = make_plan(Counts(self.checked, self.journal), sample_seed(journal))
        opened = {name: set() for name in self.trees}
        for c, op in enumerate(program.ops):
            for step, gates in plan.steps_of(c):
                for t, offsets in ((op.out, gates), *reads(program, op, gates)):
                    tensor = program.tensors[t]
                    if tensor.role is not Role.PRF:
                        leaf, _ = locate(tensor.layout, tensor.shape, offsets)
                        opened[self._tree_of(t, step)].update(leaf.tolist())
        for port in program.outputs:
            for step in range(self.steps):
                count = len(self.trees[step, port.tensor].packed)
                opened[step, port.tensor] = set(range(count))
        proof = sample_seed(journal)
        proof += b"".join(digest_bytes(tree.root) for tree in self.trees.values())
        proof += digest_bytes(PRF_SEED) if self.has_prf else b""
        proof += b"".join(self.trees[name].open(leaves) for name, leaves in opened.items())
        return encode_receipt(self.checked.data, journal, proof)

    def _tree_of(self, t, step):
        role = self.program.tensors[t].role
        if role is Role.WEIGHT:
            return "weight", t
        if role is not Role.STATE:
            return step, t
        link = next(link for link in self.program.states if link.state == t)
        return ("initial", t) if step == 0 else (step - 1, link.value)

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
                **changes,
            }
        )
