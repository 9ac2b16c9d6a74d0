"""The constraints of a circuit, out of the contract that ezkl writes for it.

halo2 keeps constraints as Rust code, built anew from the settings by whoever verifies. The one
place where ezkl writes them down is its Solidity verifier: straight lines, one shape for each kind
of check. `read` takes the numbers and the lines out of that text, checks that what is left follows
from them, and refuses a text of any other shape. The text comes from ezkl, never from a stranger.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ...verifier.snark.circuit import (
    ADVICE,
    CHALLENGE,
    CONSTANT,
    FIXED,
    NEGATION,
    OF_ADVICE,
    OF_FIXED,
    OF_INSTANCE,
    PRODUCT,
    SUM,
    Circuit,
    Expression,
    Line,
    Lookup,
)
from ...verifier.snark.curve import DELTA, ROOT, Point, Q, R, Twisted
from ..errors import ProveError

PROOF = 0x64
"""Where the proof begins in what a contract is called with."""

Query = tuple[str, int, int]
"""Which commitment (of the proof, or of the key by name), its number, and the rotation."""


def read(text: str) -> Circuit:
    """The circuit that a verifier's text checks.

    Args:
        text: as `ezkl.create_evm_verifier` writes it, with the key inside.

    Raises:
        ProveError: `snark.ezkl`, it has another shape than those of the release that was read.
    """
    try:
        return _Text(text).circuit()
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        raise ProveError(
            "the verifier that ezkl wrote has a shape that is not known here",
            code="snark.ezkl",
            expected="the shape of ezkl 23.0.5",
            received=f"{type(error).__name__}: {error}",
        ) from error


@dataclass
class _Rounds:
    """Commitments and challenges of each round, in the order of the proof."""

    points: list[int]
    challenges: list[int]


class _Text:
    def __init__(self, text: str) -> None:
        self.text = text
        self.constants, self.places = {}, {}
        for place, value, name in re.findall(r"mstore\((0x\w+), (0x\w{64})\) // (\S+)", text):
            self.constants[name] = int(value, 16)
            self.places[int(place, 16)] = name
        self.named = {
            name: int(value, 16) for name, value in re.findall(r"constant +(\w+) = (0x\w+);", text)
        }
        self.rounds = _rounds(_between(text, "// Phase 1", "// Read evaluations"))
        self.blinding = int(_one(r"l_i_cptr_end := add\(X_N_MPTR, (0x\w+)\)", text), 16) // 32 - 1
        self.blocks = list(_blocks(_between(text, "// Compute quotient ev", "pop(y)")))
        self.evaluations = PROOF + 64 * sum(self.rounds.points)
        self.openings = _Openings(
            _between(text, "// Compute pairing lhs", "// Random linear"), self
        )

    def circuit(self) -> Circuit:
        """Everything of it, checked against the parts of the text that follow."""
        lookups = [block for block in self.blocks if "let table" in block]
        copies = [
            block for block in self.blocks if any("lhs := calldata" in line for line in block)
        ]
        gates = self.blocks[: len(self.blocks) - 3 * len(lookups) - 1 - 2 * len(copies)]
        users = len(self.rounds.points) - (3 if lookups else 2)
        challenges = list(self.rounds.challenges)
        challenges[users - 1] -= 1 if lookups else 3
        self.advices = sum(self.rounds.points[:users])
        self.drawn = sum(challenges[:users])
        self.queries()
        circuit = Circuit(
            k=self.constants["k"],
            blinding=self.blinding,
            instances=self.constants["num_instances"],
            phases=tuple(zip(self.rounds.points[:users], challenges[:users], strict=True)),
            advice=tuple(self.advice),
            fixed_queries=tuple(self.fixed),
            gates=tuple(self.expressions(block, ["quotient_eval_numer"])[0] for block in gates),
            permutation=tuple(column for block in copies for column in self.columns(block)),
            chunk=len(list(self.columns(copies[0]))),
            lookups=tuple(self.lookup(block) for block in lookups),
            quotients=self.rounds.points[-1],
            digest=self.constants["vk_digest"],
            fixed=tuple(self.commitments("fixed_comms")),
            sigma=tuple(self.commitments("permutation_comms")),
            tau=self.tau(),
        )
        self.judge(circuit, copies)
        return circuit

    def judge(self, circuit: Circuit, copies: list[list[str]]) -> None:
        """What the circuit says of itself is what the text says elsewhere."""
        of = {
            "products": (circuit.products, len(copies)),
            "omega": (pow(ROOT, 1 << (28 - circuit.k), R), self.constants["omega"]),
            "delta": (DELTA, int(_one(r"DELTA = (\d+);", self.text))),
            "accumulator": (0, self.constants["has_accumulator"]),
            "points": (circuit.points, sum(self.rounds.points)),
            "openings": (_expected_openings(circuit), self.openings.sets),
        }
        for what, (expected, received) in of.items():
            if expected != received:
                raise ValueError(f"{what}: {expected} expected, {received} found")

    def queries(self) -> None:
        """The advice and fixed queries behind the evaluations, out of the openings."""
        of = self.openings.queries
        self.advice, self.fixed = [], []
        number = 0
        while number in of and of[number][0] == "proof" and of[number][1] < self.advices:
            self.advice.append(of[number][1:])
            number += 1
        while number in of and of[number][0] == "fixed_comms":
            self.fixed.append(of[number][1:])
            number += 1

    def evaluation(self, place: str) -> tuple[int, int]:
        """What a place in the proof holds: the kind of query and its number."""
        number = (int(place, 16) - self.evaluations) // 32
        if number < len(self.advice):
            return ADVICE, number
        if number - len(self.advice) < len(self.fixed):
            return FIXED, number - len(self.advice)
        raise ValueError(f"{place} is no query")

    def expressions(self, lines: list[str], results: list[str]) -> list[Expression]:
        """The expressions of a block: those that the named variables are given, in order."""
        names: dict[str, int] = {}
        program: list[Line] = []

        def add(line: Line) -> int:
            program.append(line)
            return len(program) - 1

        def operand(text: str) -> int:
            return add(Line(CONSTANT, int(text, 16) % R)) if text[:2] == "0x" else names[text]

        found = []
        for line in lines:
            left, right = line.removeprefix("let ").split(" := ")
            if left in results:
                taken = re.search(r"(\w+)(?:, [rR]\))?$", right)
                name = taken.group(1) if taken else ""
                if name == "beta":
                    continue
                found.append(_pruned(program, names[name]))
            elif place := re.fullmatch(r"calldataload\((0x\w+)\)", right):
                names[left] = add(Line(*self.evaluation(place.group(1))))
            elif place := re.fullmatch(r"mload\((0x\w+)\)", right):
                number = (int(place.group(1), 16) - self.named["CHALLENGE_MPTR"]) // 32
                if not 0 <= number < self.drawn:
                    raise ValueError(f"{line} is no challenge")
                names[left] = add(Line(CHALLENGE, number))
            elif minus := re.fullmatch(r"sub\(R, (\w+)\)", right):
                names[left] = add(Line(NEGATION, operand(minus.group(1))))
            elif both := re.fullmatch(r"(add|mul)mod\((\w+), (\w+), R\)", right):
                op = SUM if both.group(1) == "add" else PRODUCT
                names[left] = add(Line(op, operand(both.group(2)), operand(both.group(3))))
            else:
                names[left] = operand(right)
        return found

    def lookup(self, block: list[str]) -> Lookup:
        """The parts between braces: the table, then each input; what follows are sums of them."""
        parts: list[tuple[Expression, ...]] = []
        name, inside = "", list[str]()
        for line in block:
            if line in ("let table", *(f"let input_{i}" for i in range(len(block)))):
                name, inside = line.removeprefix("let "), []
            elif line == "}" and name:
                parts.append(tuple(self.expressions(inside, [name])))
                name = ""
            elif name and line != "{":
                inside.append(line)
        return Lookup(parts[0], tuple(parts[1:]))

    def columns(self, block: list[str]) -> Iterator[tuple[int, int]]:
        """Of a chunk of the permutation, in order."""
        for line in block:
            if not line.startswith("lhs := mulmod(lhs"):
                continue
            place = re.search(r"addmod\(addmod\((?:calldataload\((0x\w+)\)|mload\((\w+)\))", line)
            if place is None:
                raise ValueError(line)
            if place.group(2):
                if place.group(2) != "INSTANCE_EVAL_MPTR":
                    raise ValueError(line)
                yield OF_INSTANCE, 0
            else:
                kind, number = self.evaluation(place.group(1))
                yield (OF_ADVICE if kind == ADVICE else OF_FIXED), number

    def commitments(self, name: str) -> Iterator[Point]:
        """Points of the key under that name."""
        number = 0
        while f"{name}[{number}].x" in self.constants:
            x, y = (self.constants[f"{name}[{number}].{axis}"] for axis in "xy")
            yield (x, y) if x or y else None
            number += 1

    def tau(self) -> Twisted:
        """τ·G₂; a contract holds its negative, imaginary parts first."""
        x1, x0, y1, y0 = (
            self.constants[f"neg_s_g2_{part}"] for part in ("x_1", "x_2", "y_1", "y_2")
        )
        return x0, x1, -y0 % Q, -y1 % Q


class _Openings:
    """The sets of commitments that are opened at the same points, as the text lists them."""

    def __init__(self, text: str, of: _Text) -> None:
        self.of = of
        parts = [_tokens(part) for part in _blocks_as_text(text)]
        rotations = self._rotations(parts[0])
        points = [part for part in parts if part and part[0].startswith("let point_")]
        values = [part for part in parts if any("let r_eval := 0" in line for line in part)]
        self.sets: list[tuple[tuple[int, ...], list[tuple[str, int]]]] = []
        self.queries: dict[int, Query] = {}
        for lines, evaluations, commitments in zip(
            points, values, self._commitments(parts[-1]), strict=True
        ):
            taken = tuple(
                rotations[int(_one(r"mload\((0x\w+)\)", line), 16)]
                for line in lines
                if line.startswith("let point_")
            )
            self._add(taken, list(self._read(evaluations)), commitments)

    def _add(
        self, rotations: tuple[int, ...], read: list[int | None], names: list[tuple[str, int]]
    ) -> None:
        groups = [read[i : i + len(rotations)] for i in range(0, len(read), len(rotations))]
        for name, values in zip(names, groups, strict=True):
            for rotation, number in zip(rotations, values, strict=True):
                if number is not None:
                    self.queries[number] = (*name, rotation)
        self.sets.append((rotations, names[::-1]))

    @staticmethod
    def _rotations(lines: list[str]) -> dict[int, int]:
        """Places of points in memory: which rotation each is."""
        found, at, step = {}, 1, 1
        for line in lines:
            if line == "x_pow_of_omega := mulmod(x, omega_inv, R)":
                at, step = -1, -1
            elif line.startswith("x_pow_of_omega := mulmod(x_pow_of_omega"):
                at += step
            elif place := re.fullmatch(r"mstore\((0x\w+), (x|x_pow_of_omega)\)", line):
                found[int(place.group(1), 16)] = 0 if place.group(2) == "x" else at
        return found

    def _read(self, lines: list[str]) -> Iterator[int | None]:
        """Numbers of the evaluations, last commitment first; None: the quotient's."""
        for line in _unrolled(lines, 0x20):
            for place in re.findall(r"calldataload\((0x\w+)\)|mload\(QUOTIENT_EVAL_MPTR\)", line):
                yield (int(place, 16) - self.of.evaluations) // 32 if place else None

    def _commitments(self, lines: list[str]) -> list[list[tuple[str, int]]]:
        """Of each set, last commitment first."""
        found: list[list[tuple[str, int]]] = []
        for line in _unrolled(lines, 0x40):
            if "mload(G1_X_MPTR)" in line:
                break
            first = re.fullmatch(r"mstore\((?:0x00|0x80), (.*)\)", line)
            later = re.fullmatch(r"success := ec_add_(?:acc|tmp)\(success, (.*), .*\)", line)
            if first:
                found.append([self._name(first.group(1))])
            elif later and "mload(0x80)" not in line:
                found[-1].append(self._name(later.group(1)))
        return found

    def _name(self, what: str) -> tuple[str, int]:
        if "QUOTIENT_X_MPTR" in what:
            return "quotient", 0
        place = int(_one(r"(0x\w+)", what), 16)
        if what.startswith("calldataload"):
            return "proof", (place - PROOF) // 64
        name = re.fullmatch(r"(\w+)\[(\d+)\]\.x", self.of.places[place])
        if name is None:
            raise ValueError(what)
        return name.group(1), int(name.group(2))


def _expected_openings(circuit: Circuit) -> list[tuple[tuple[int, ...], list[tuple[str, int]]]]:
    """The sets that follow from a circuit, in the names of the text."""
    lookups, users = len(circuit.lookups), circuit.advices
    products, sums = users + lookups, users + lookups + circuit.products
    found: dict[tuple[str, int], set[int]] = {}

    def add(name: str, number: int, *rotations: int) -> None:
        found.setdefault((name, number), set()).update(rotations)

    for column, rotation in circuit.advice:
        add("proof", column, rotation)
    for number in range(circuit.products):
        add("proof", products + number, 0, 1)
        if number < circuit.products - 1:
            add("proof", products + number, -(circuit.blinding + 1))
    for number in range(lookups):
        add("proof", sums + number, 0, 1)
        add("proof", users + number, 0)
    for column, rotation in circuit.fixed_queries:
        add("fixed_comms", column, rotation)
    for number in range(len(circuit.sigma)):
        add("permutation_comms", number, 0)
    add("quotient", 0, 0)
    add("proof", sums + lookups, 0)
    sets: dict[tuple[int, ...], list[tuple[str, int]]] = {}
    for name, rotations in found.items():
        sets.setdefault(tuple(sorted(rotations)), []).append(name)
    return list(sets.items())


def _pruned(program: list[Line], result: int) -> Expression:
    """The lines that a result needs, numbered anew."""
    needed, stack = set(), [result]
    while stack:
        number = stack.pop()
        if number in needed:
            continue
        needed.add(number)
        line = program[number]
        stack += {NEGATION: [line.a], SUM: [line.a, line.b], PRODUCT: [line.a, line.b]}.get(
            line.op, []
        )
    order = {old: new for new, old in enumerate(sorted(needed))}
    found = []
    for old in sorted(needed):
        line = program[old]
        if line.op >= NEGATION:
            second = order[line.b] if line.op in (SUM, PRODUCT) else 0
            line = Line(line.op, order[line.a], second)
        found.append(line)
    return tuple(found)


def _rounds(text: str) -> _Rounds:
    points, challenges = [], []
    for part in text.split("// Phase ")[1:]:
        points.append(int(_one(r"add\(proof_cptr, (0x\w+)\)", part), 16) // 64)
        challenges.append(len(re.findall(r"squeeze_challenge(?:_cont)?\(", part)))
    return _Rounds(points, challenges)


def _one(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    if found is None:
        raise ValueError(f"no {pattern}")
    return found.group(1)


def _between(text: str, start: str, end: str) -> str:
    begin = text.index(start)
    return text[begin : text.index(end, begin)]


def _tokens(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _blocks_as_text(text: str) -> list[str]:
    """The outermost blocks inside the first one that has blocks of its own."""
    found: list[str] = []
    inside: list[str] = []
    depth = 0
    for line in text.splitlines():
        before, depth = depth, depth + line.count("{") - line.count("}")
        if min(before, depth) >= 2:
            inside.append(line)
        elif before >= 2:
            found.append("\n".join(inside))
            inside = []
    return found


def _blocks(text: str) -> Iterator[list[str]]:
    """The blocks of the quotient, one for each term (a chunk, a gate, a part of a lookup)."""
    for part in _blocks_as_text(text):
        yield _tokens(part)


def _unrolled(lines: list[str], step: int) -> Iterator[str]:
    """The lines, with loops over places written out."""
    first = last = None
    for line in lines:
        if found := re.fullmatch(r"let mptr := (0x\w+)", line):
            first = int(found.group(1), 16)
        elif found := re.fullmatch(r"let mptr_end := (0x\w+)", line):
            last = int(found.group(1), 16)
        elif first is not None and last is not None and re.search(r"load\(mptr\)", line):
            for place in range(first, last, -step):
                yield line.replace("load(mptr)", f"load({place:#06x})")
            first = last = None
        else:
            yield line
