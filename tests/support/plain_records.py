"""All records of a run, put together plainly from the roots of its trees."""

from __future__ import annotations

import numpy as np

from zktally.verifier.journal import ZERO_DIGEST
from zktally.verifier.poseidon2 import Domain, compress, sponge
from zktally.verifier.program.types import Role
from zktally.verifier.roots import digest_elements


def packed(data: bytes) -> list[int]:
    return [int.from_bytes(data[i : i + 3], "little") for i in range(0, len(data), 3)]


def hashed(domain: Domain, aux: int, elements: list[int]) -> list[int]:
    return sponge(domain, aux, np.array([elements], np.uint64).reshape(1, -1))[0].tolist()


def tree_over(digests: list[list[int]]) -> list[list[list[int]]]:
    """The levels of a tree, from its leaves."""
    levels = [digests]
    while len(levels[-1]) > 1:
        below = levels[-1] + [[0] * 8] * (len(levels[-1]) % 2)
        pairs = np.array(below, np.uint64).reshape(-1, 2, 8)
        levels.append(compress(pairs[:, 0], pairs[:, 1]).tolist())
    return levels


class PlainRecords:
    """Elements of every record of a run, and the trees over the digests of steps and of inputs.

    Attributes:
        once: elements of what stands once, by name.
        steps, after, inputs: elements by step.
        levels: of the two trees.
    """

    def __init__(self, prover) -> None:
        program, journal = prover.program, prover.journal

        def roots(*names):
            return [e for name in names for e in prover.trees[name].root.tolist()]

        def of_role(*roles):
            return program.of_role(*roles)

        links = {link.state: link.value for link in program.states}
        states, last = of_role(Role.STATE), prover.steps - 1
        exports = [("weight", t) if t not in links else (last, links[t]) for t in program.exports]
        self.once = {
            "weights": roots(*(("weight", t) for t in of_role(Role.WEIGHT))),
            "data": [program.records, *roots(*(("data", t) for t in program.data))],
            "initial": roots(*(("initial", t) for t in states)),
            "exported": roots(*exports),
        }
        self.after = [roots(*((j, links[t]) for t in states)) for j in range(prover.steps)]
        digests = [hashed(Domain.STATE, 0, e) for e in (self.once["initial"], *self.after)]
        if not states:
            digests = [digest_elements(ZERO_DIGEST).tolist()] * (prover.steps + 1)
        weights = hashed(Domain.WEIGHTS, len(of_role(Role.WEIGHT)), self.once["weights"])
        assert weights == digest_elements(journal.weights_root).tolist()
        self.steps, self.inputs = [], []
        for j in range(prover.steps):
            stepped = roots(*((j, t) for t in of_role(Role.INPUT, Role.VALUE)))
            head = [*packed(journal.program_id), prover.first + j]
            self.steps.append(head + weights + digests[j] + digests[j + 1] + stepped)
            read = roots(*((j, t) for t in of_role(Role.INPUT)))
            self.inputs.append([prover.first + j, *read])
        self.levels = [
            tree_over([hashed(domain, 0, elements) for elements in records])
            for domain, records in ((Domain.STEP, self.steps), (Domain.INPUT, self.inputs))
        ]
        for name, levels in zip(("chain", "input tree"), self.levels, strict=True):
            self.once[name] = [prover.steps, *levels[-1][0]]
