"""A prover in numpy for tests of the STARK verifier: docs/stark.md, small tables, nothing fast.

It works in coefficients where the verifier works in values: openings are sums over coefficients
(the verifier: a Lagrange basis), folding splits even and odd coefficients (the verifier: pairs of
values). What both share is the arithmetic of K, the transcript and the reader of tables.
"""

from __future__ import annotations

import copy
import hashlib
from dataclasses import dataclass, field, replace
from itertools import count

import numpy as np

from zktally.verifier.errors import InvalidProof
from zktally.verifier.poseidon2 import compress, sponge16
from zktally.verifier.reader import P, Writer
from zktally.verifier.stark import (
    Parameters,
    PresentTable,
    Profile,
    PublicTerms,
    Statement,
    TermGroup,
    read_tables,
)
from zktally.verifier.stark.field import (
    BASIS,
    ONE,
    SHIFT,
    ZERO,
    Column,
    K,
    add,
    base_inverse,
    base_powers,
    dot,
    elements,
    inverse,
    mul,
    powers,
    root_of_unity,
    scale,
    sub,
)
from zktally.verifier.stark.fri import plan_rounds
from zktally.verifier.stark.params import Hashing
from zktally.verifier.stark.statement import mask_columns
from zktally.verifier.stark.tables import MAGIC, Kind, Values, evaluate
from zktally.verifier.stark.transcript import begin

MOD = np.uint64(P)
TOY = Parameters(Profile(2, batch_bits=3, commit_bits=2, query_bits=3), queries=6)
FOLDABLE = replace(TOY, profile=replace(TOY.profile, hashing=Hashing.POSEIDON2))
"""The same numbers under Poseidon2."""


class Builder:
    """A table under construction: equal nodes are one node."""

    def __init__(self, name, publics, mains):
        self.name, self.publics, self.mains = name, publics, mains
        self.nodes, self.constraints, self.groups = {}, [], []
        self.on, tag, mu = self.public(0), self.public(1), self.main(0)
        self.mask = (0, self.product(self.on, mu), [tag])

    def node(self, kind, a=0, b=0):
        return self.nodes.setdefault((kind, a, b), len(self.nodes))

    def constant(self, a):
        return self.node(Kind.CONSTANT, a % P)

    def public(self, a):
        return self.node(Kind.PUBLIC, a)

    def main(self, a):
        return self.node(Kind.MAIN, a)

    def next(self, a):
        return self.node(Kind.NEXT, a)

    def sum(self, a, b):
        return self.node(Kind.SUM, a, b)

    def difference(self, a, b):
        return self.node(Kind.DIFFERENCE, a, b)

    def product(self, a, b):
        return self.node(Kind.PRODUCT, a, b)

    def minus(self, a):
        return self.difference(self.constant(0), a)

    def write(self, writer):
        writer.u8(len(self.name))
        writer.raw(self.name.encode())
        writer.u16(self.publics)
        writer.u16(self.mains)
        writer.u32(len(self.nodes))
        for kind, a, b in self.nodes:
            writer.u8(kind)
            if kind is Kind.CONSTANT:
                writer.u32(a)
            elif kind < Kind.FIRST:
                writer.u16(a)
            elif kind > Kind.LAST:
                writer.u32(a)
                writer.u32(b)
        writer.u32(len(self.constraints))
        for node in self.constraints:
            writer.u32(node)
        writer.u16(len(self.groups))
        for group in self.groups:
            writer.u8(len(group))
            for bus, multiplicity, items in group:
                writer.u16(bus)
                writer.u32(multiplicity)
                writer.u16(len(items))
                for item in items:
                    writer.u32(item)


def encode_tables(builders):
    writer = Writer()
    writer.raw(MAGIC)
    writer.u16(len(builders))
    for builder in builders:
        builder.write(writer)
    return writer.getvalue()


def walk():
    """Counts rows in c; where `on`, y = x², x is in range, and (c, y), (c, c', x) are public."""
    t = Builder("walk", 3, 4)
    on, c, x, y = t.public(2), t.main(1), t.main(2), t.main(3)
    wrong = t.difference(y, t.product(x, x))
    first, last = t.node(Kind.FIRST), t.node(Kind.LAST)
    step = t.difference(t.difference(t.next(1), c), t.constant(1))
    t.constraints = [
        t.product(t.product(on, on), wrong),
        t.product(first, c),
        t.product(t.difference(t.constant(1), last), step),
    ]
    in_range, stepped = (2, t.product(on, on), [x]), (3, on, [c, t.next(1), x])
    t.groups = [[t.mask, (1, on, [c, y]), in_range], [stepped]]
    return t


def extra():
    """Where `on`, x is in range."""
    t = Builder("extra", 3, 2)
    t.groups = [[t.mask], [(2, t.public(2), [t.main(1)])]]
    return t


def ranges():
    """The values 0 … 255, each as often as it is looked up."""
    t = Builder("range", 3, 2)
    bus, multiplicity, tag = t.mask
    t.groups = [[(bus, t.minus(multiplicity), tag), (2, t.minus(t.main(1)), [t.public(2)])]]
    return t


TABLES_BYTES = encode_tables([walk(), extra(), ranges()])
TABLES = read_tables(TABLES_BYTES)


@dataclass
class Case:
    """A statement and a witness: main columns int64 [mains, used] by table index."""

    present: list[PresentTable]
    terms: PublicTerms
    mains: dict[int, np.ndarray]
    parameters: Parameters = TOY
    context: bytes = bytes(range(32))
    changes: dict = field(default_factory=dict)

    def arguments(self):
        return {
            "context": self.context,
            "tables": TABLES,
            "present": self.present,
            "public_terms": self.terms,
            "parameters": self.parameters,
        }


def toy_case(walk_log=12, range_log=11, extra_log=None, used=300, parameters=TOY, seed=1):
    """An honest case: a walk, a range table, and maybe the extra one."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 256, used)
    c = np.arange((1 << walk_log) - parameters.hiding_rows)
    mains = {0: np.zeros((4, len(c)), np.int64), 2: np.zeros((2, 256), np.int64)}
    mains[0][1], mains[0][2, :used], mains[0][3, :used] = c, x, x * x
    on = np.ones((1, used), np.uint32)
    present = [PresentTable(0, walk_log, on)]
    looked_up = [x]
    if extra_log is not None:
        more = rng.integers(0, 256, 77)
        mains[1] = np.stack([0 * more, more])
        present.append(PresentTable(1, extra_log, np.ones((1, 77), np.uint32)))
        looked_up.append(more)
    mains[2][1] = np.bincount(np.concatenate(looked_up), minlength=256)
    present.append(PresentTable(2, range_log, np.arange(256, dtype=np.uint32)[None]))
    pairs = np.stack([c[:used], x * x], 1).astype(np.uint32)
    triples = np.stack([c[:used], c[:used] + 1, x], 1).astype(np.uint32)
    terms = PublicTerms((TermGroup(1, -1, pairs), TermGroup(3, -1, triples)))
    return Case(present, terms, mains, parameters)


def reversal(log_size):
    order = np.zeros(1, np.int64)
    for _ in range(log_size):
        order = np.concatenate([2 * order, 2 * order + 1])
    return order


def ntt(coefficients):
    """Values at ω^i of polynomials [..., 2^k], in natural order."""
    log_size = coefficients.shape[-1].bit_length() - 1
    a = coefficients[..., reversal(log_size)]
    for level in range(1, log_size + 1):
        blocks = a.reshape(*coefficients.shape[:-1], -1, 1 << level)
        even, odd = np.split(blocks, 2, axis=-1)
        odd = odd * base_powers(root_of_unity(level), 1 << (level - 1)) % MOD
        a = np.concatenate([add(even, odd), sub(even, odd)], axis=-1)
    return a.reshape(coefficients.shape)


def intt(values):
    size = values.shape[-1]
    a = ntt(values) * np.uint64(pow(size, -1, P)) % MOD
    return np.concatenate([a[..., :1], a[..., :0:-1]], axis=-1)


def extend(coefficients, log_domain):
    """Values on the coset, in natural order."""
    size = coefficients.shape[-1]
    padded = np.zeros((*coefficients.shape[:-1], 1 << log_domain), np.uint64)
    padded[..., :size] = coefficients * base_powers(SHIFT, size) % MOD
    return ntt(padded)


def uniform(rng, *shape):
    return rng.integers(0, P, shape, dtype=np.uint64)


class Tree:
    """A full tree over base columns [columns, 2^l], natural order, by l."""

    def __init__(self, matrices, rng=None, hashing=Hashing.SHA256):
        self.nodes, rows = {}, {}
        hash_rows, hash_nodes = {
            Hashing.SHA256: (_sha_rows, _sha_nodes),
            Hashing.POSEIDON2: (_poseidon_rows, _poseidon_nodes),
        }[hashing]
        for level, columns in matrices.items():
            rows[level] = columns[:, reversal(level)].T.astype("<u4")
            if rng is not None:
                salts = uniform(rng, 1 << level, 4).astype("<u4")
                rows[level] = np.concatenate([rows[level], salts], axis=1)
        self.rows, self.top = rows, max(rows)
        self.nodes[self.top] = hash_rows(rows[self.top])
        for level in reversed(range(self.top)):
            own = hash_rows(rows[level]) if level in rows else None
            self.nodes[level] = hash_nodes(self.nodes[level + 1], own)
        self.root = self.nodes[0][0]

    def open(self, indices):
        out = b""
        for level in sorted(self.rows, reverse=True):
            at = sorted({int(index) >> (self.top - level) for index in indices})
            out += b"".join(self.rows[level][i].tobytes() for i in at)
        known = {int(index) for index in indices}
        for level in range(self.top, 0, -1):
            siblings = sorted({i ^ 1 for i in known} - known)
            out += b"".join(self.nodes[level][i] for i in siblings)
            known = {i >> 1 for i in known}
        return out


def _sha(data):
    return hashlib.sha256(data).digest()


def _sha_rows(rows):
    return [_sha(b"\0" + row.tobytes()) for row in rows]


def _sha_nodes(below, own):
    own = own or [b""] * (len(below) // 2)
    return [_sha(b"\1" + below[2 * i] + below[2 * i + 1] + row) for i, row in enumerate(own)]


def _poseidon_rows(rows):
    return _digests(sponge16(0x40, rows.astype(np.uint64)))


def _poseidon_nodes(below, own):
    words = np.frombuffer(b"".join(below), "<u4").reshape(-1, 2, 8).astype(np.uint64)
    found = compress(words[:, 0], words[:, 1])
    if own:
        found = compress(found, np.frombuffer(b"".join(own), "<u4").reshape(-1, 8).astype("u8"))
    return _digests(found)


def _digests(words):
    return [row.tobytes() for row in words.astype("<u4")]


def grind(transcript, bits):
    for nonce in count() if bits else (0,):
        try:
            copy.copy(transcript).pow(bits, nonce)
        except InvalidProof:
            continue
        transcript.pow(bits, nonce)
        return nonce.to_bytes(8, "little")
    raise AssertionError


def raw(array):
    return array.astype("<u4").tobytes()


class Prover:
    """One proof, step by step; a test may change any step with `case.changes`."""

    def __init__(self, case, seed=7):
        self.case, self.rng = case, np.random.default_rng(seed)
        self.statement = Statement(TABLES, case.present, case.parameters)
        self.hiding, self.blowup = case.parameters.hiding_rows, self.statement.log_blowup
        profile = case.parameters.profile
        known = case.context, case.parameters.encode(), self.statement.encode()
        self.hashing = profile.hashing
        self.transcript = begin(self.hashing, *known)

    def change(self, name, value):
        return self.case.changes.get(name, lambda found: found)(value)

    def prove(self):
        """The bytes of the proof."""
        t, statement, profile = self.transcript, self.statement, self.case.parameters.profile
        self.traces()
        log_rows = [one.log_rows for one in statement.tables]
        main = self.commit(zip(log_rows, self.main, strict=True))
        t.absorb(4, main.root)
        self.alpha, self.beta = t.element(), t.element()
        self.auxiliary()
        aux = self.commit(zip(log_rows, self.aux, strict=True))
        terminals = self.change("terminals", np.stack(self.terminals))
        self.terminals = list(terminals)
        t.absorb(5, aux.root + raw(terminals))
        self.gamma = t.element()
        self.quotients()
        quotient = self.commit(self.chunks.items())
        t.absorb(6, quotient.root)
        self.zeta = t.element()
        opened = self.change("opened", self.open())
        t.absorb(7, raw(opened))
        out = main.root + aux.root + raw(terminals) + quotient.root + raw(opened)
        out += grind(t, profile.batch_bits)
        sent, trees, final = self.fold(self.combine(opened, t.element()))
        out += sent + raw(final)
        t.absorb(9, raw(final))
        out += grind(t, profile.query_bits)
        indices = t.indices(self.case.parameters.queries, 1 << statement.log_domain)
        out += b"".join(tree.open(indices) for tree in (main, aux, quotient))
        return out + b"".join(
            tree.open(indices >> (statement.log_domain - tree.top)) for tree in trees
        )

    def traces(self):
        """Coefficients of all public and main columns, and their rows."""
        self.public, self.main, self.rows = [], [], []
        masks = {}
        for one in self.statement.tables:
            size, active = 1 << one.log_rows, (1 << one.log_rows) - self.hiding
            mask = mask_columns(self.statement, one)
            public = np.zeros((one.table.publics, size), np.uint64)
            public[:2, : mask.shape[1]] = mask
            public[2:, : one.present.publics.shape[1]] = one.present.publics
            given = self.case.mains[one.present.index]
            main = np.zeros((one.table.mains, size), np.uint64)
            main[:, : given.shape[1]] = given % P
            main[0] = uniform(self.rng, size)
            main[:, active:] = uniform(self.rng, one.table.mains, self.hiding)
            if one is self.statement.tables[-1] and masks:
                known = np.concatenate(list(masks.values()))
                main[0, : len(known)] = known
            masks[one.present.index] = main[0, :5]
            self.public.append(intt(public))
            self.main.append(intt(main))
            self.rows.append((public, main))

    def commit(self, matrices):
        """A salted tree over columns given by coefficients."""
        levels = {}
        for log_rows, coefficients in matrices:
            level = log_rows + self.blowup
            levels.setdefault(level, []).append(extend(coefficients, level))
        matrices = {level: np.concatenate(found) for level, found in levels.items()}
        return Tree(matrices, self.rng, self.hashing)

    def values(self, public, main, ahead, first, last):
        return Values(
            public=[Column(column) for column in public],
            main=[Column(column) for column in main],
            next={c: Column(column) for c, column in enumerate(ahead)},
            first=Column(first),
            last=Column(last),
            of=Column.of,
        )

    def denominator(self, lookup, nodes, size):
        found = np.repeat((self.alpha - K.of(lookup.bus)).array()[None], size, 0)
        weight = ONE
        for item in lookup.items:
            weight = weight * self.beta
            values = np.broadcast_to(nodes[item].values, size)
            found = sub(found, scale(np.repeat(weight.array()[None], size, 0), values))
        return found

    def selectors(self, log_rows):
        first, last = np.zeros((2, 1 << log_rows), np.uint64)
        first[0] = last[(1 << log_rows) - self.hiding - 1] = 1
        return first, last

    def auxiliary(self):
        """Coefficients of φ columns and acc, and the terminals."""
        self.aux, self.terminals = [], []
        for one, (public, main) in zip(self.statement.tables, self.rows, strict=True):
            size, active = 1 << one.log_rows, (1 << one.log_rows) - self.hiding
            first, last = self.selectors(one.log_rows)
            nodes = evaluate(
                one.table, self.values(public, main, np.roll(main, -1, 1), first, last)
            )
            columns, total = [], np.zeros((size, 5), np.uint64)
            for group in one.table.groups:
                fraction = np.zeros((size, 5), np.uint64)
                for lookup in group:
                    times = np.broadcast_to(nodes[lookup.multiplicity].values, size)
                    each = inverse(self.denominator(lookup, nodes, size))
                    fraction = add(fraction, scale(each, times))
                total = add(total, fraction)
                columns.append(fraction)
            sums = np.cumsum(total[:active], 0) % MOD
            acc = np.concatenate([np.zeros((1, 5), np.uint64), sums])
            self.terminals.append(sums[-1])
            columns.append(np.concatenate([acc[:active], np.zeros((self.hiding, 5), np.uint64)]))
            base = np.concatenate([column.T for column in columns])
            base[:, active:] = uniform(self.rng, len(base), self.hiding)
            self.aux.append(intt(base))

    def constraints(self, number):
        """Values of a table's constraints on its coset, each uint64 [size, 5]."""
        one = self.statement.tables[number]
        level = one.log_rows + self.blowup
        public, main, aux, selectors = (
            extend(coefficients, level)
            for coefficients in (
                self.public[number],
                self.main[number],
                self.aux[number],
                intt(np.stack(self.selectors(one.log_rows))),
            )
        )
        step = -(1 << self.blowup)
        first, last = selectors
        nodes = evaluate(one.table, self.values(public, main, np.roll(main, step, 1), first, last))
        size = 1 << level
        unit = np.repeat(ONE.array()[None], size, 0)
        for constraint in one.table.constraints:
            yield scale(unit, np.broadcast_to(nodes[constraint].values, size))
        *fractions, acc = (aux[at : at + 5].T for at in range(0, len(aux), 5))
        total = acc
        for group, fraction in zip(one.table.groups, fractions, strict=True):
            each = [self.denominator(lookup, nodes, size) for lookup in group]
            found = fraction
            for bottom in each:
                found = mul(found, bottom)
            for i, lookup in enumerate(group):
                product = unit
                for j, bottom in enumerate(each):
                    product = product if i == j else mul(product, bottom)
                times = np.broadcast_to(nodes[lookup.multiplicity].values, size)
                found = sub(found, scale(product, times))
            yield found
            total = add(total, fraction)
        yield scale(acc, first)
        difference = sub(np.roll(acc, step, 0), total)
        yield sub(difference, scale(difference, last))
        yield scale(sub(total, self.terminals[number]), last)

    def quotients(self):
        """Coefficients of the chunks by height, and of the mask."""
        self.chunks = {}
        for log_rows in self.statement.log_heights:
            level, size = log_rows + self.blowup, 1 << log_rows
            total, weight = np.zeros((1 << level, 5), np.uint64), ONE
            for number, one in enumerate(self.statement.tables):
                for values in self.constraints(number) if one.log_rows == log_rows else ():
                    total = add(total, mul(values, weight.array()))
                    weight = weight * self.gamma
            x = base_powers(root_of_unity(level), 1 << level) * np.uint64(SHIFT) % MOD
            factor = base_inverse(sub(_power(x, size), np.uint64(1)))
            for row in range(size - self.hiding, size):
                root = np.uint64(pow(root_of_unity(log_rows), row, P))
                factor = factor * sub(x, root) % MOD
            shifts = base_powers(pow(SHIFT, -1, P), 1 << level)
            coefficients = intt(scale(total, factor).T) * shifts % MOD
            active = size - self.hiding
            if not self.case.changes:
                assert not coefficients[:, 4 * active :].any()
            chunks = np.zeros((4, 5, size), np.uint64)
            blind = uniform(self.rng, 3, 5, self.hiding)
            for i in range(4):
                chunks[i, :, :active] = coefficients[:, i * active : (i + 1) * active]
                if i < 3:
                    chunks[i, :, active:] = blind[i]
                if i > 0:
                    chunks[i, :, : self.hiding] = sub(chunks[i, :, : self.hiding], blind[i - 1])
            self.chunks[log_rows] = chunks.reshape(20, size)
        top = self.statement.log_heights[0]
        mask = uniform(self.rng, 5, 1 << top)
        self.chunks[top] = np.concatenate([self.chunks[top], mask])

    def plan(self):
        """(log rows, ahead, columns of coefficients, one or five) of each opening, in order."""
        for one, main, aux in zip(self.statement.tables, self.main, self.aux, strict=True):
            extended = [aux[at : at + 5] for at in range(0, len(aux), 5)]
            yield from ((one.log_rows, False, column[None]) for column in main)
            yield from ((one.log_rows, True, main[c][None]) for c in one.table.next_columns)
            yield from ((one.log_rows, False, columns) for columns in extended)
            yield one.log_rows, True, extended[-1]
        for log_rows, chunks in self.chunks.items():
            yield from ((log_rows, False, chunks[at : at + 5]) for at in range(0, 20, 5))

    def point(self, log_rows, ahead):
        return K.of(root_of_unity(log_rows)) * self.zeta if ahead else self.zeta

    def open(self):
        """All opened values, from coefficients."""
        found = []
        for log_rows, ahead, columns in self.plan():
            at = powers(self.point(log_rows, ahead), 1 << log_rows)
            values = elements(mul(dot(columns, at), BASIS[: len(columns)]))
            found.append(sum(values, ZERO).words)
        return np.array(found, np.uint64)

    def apart(self, log_rows, ahead):
        """`1/(x − z)` on the coset, [size, 5]."""
        level = log_rows + self.blowup
        x = base_powers(root_of_unity(level), 1 << level) * np.uint64(SHIFT) % MOD
        points = scale(np.repeat(ONE.array()[None], len(x), 0), x)
        return inverse(sub(points, self.point(log_rows, ahead).array()))

    def combine(self, opened, eta):
        """By log of the domain, G on the coset in natural order, [size, 5]."""
        found, weight = {}, ONE
        top = self.statement.log_heights[0]
        for log_rows in self.statement.log_heights:
            size = 1 << (log_rows + self.blowup)
            found[log_rows + self.blowup] = np.zeros((size, 5), np.uint64)
        apart = {
            (log_rows, ahead): self.apart(log_rows, ahead)
            for log_rows in self.statement.log_heights
            for ahead in (False, True)
        }
        for (log_rows, ahead, columns), value in zip(self.plan(), opened, strict=True):
            level = log_rows + self.blowup
            f = np.zeros((1 << level, 5), np.uint64)
            f[:, : len(columns)] = extend(columns, level).T
            term = mul(sub(f, value), mul(apart[log_rows, ahead], weight.array()))
            found[level] = add(found[level], term)
            weight = weight * eta
        level = top + self.blowup
        mask = mul(extend(self.chunks[top][-5:], level).T, weight.array())
        found[level] = add(found[level], mask)
        return found

    def fold(self, combined):
        """Bytes, trees and the final polynomial of FRI, by coefficients in X."""
        profile = self.case.parameters.profile
        levels = list(combined)
        rounds = plan_rounds(levels, profile.log_folding, self.blowup + profile.log_final)
        g = {level: intt(values.T) for level, values in combined.items()}
        f, sent, trees = g[levels[0]], b"", []
        for each in rounds:
            vector = ntt(f)[:, reversal(each.log_size)]
            rows = vector.T.reshape(1 << each.log_rows, -1)
            columns = {each.log_rows: rows.T[:, reversal(each.log_rows)]}
            tree = Tree(columns, hashing=self.hashing)
            self.transcript.absorb(8, tree.root)
            sent += tree.root + grind(self.transcript, profile.commit_bits)
            beta = self.transcript.element()
            for _ in range(each.log_arity):
                f = add(f[:, 0::2], mul(f[:, 1::2].T, beta.array()).T)
                beta = beta * beta
            if each.log_rows in g:
                f = add(f, mul(g[each.log_rows].T, beta.array()).T)
            trees.append(tree)
        length = 1 << profile.log_final
        if not self.case.changes:
            assert not f[:, length:].any()
        return sent, trees, f[:, :length].T


def _power(x, exponent):
    found = x
    while exponent > 1:
        found, exponent = found * found % MOD, exponent // 2
    return found


def prove(case, seed=7):
    """A proof of a case, made with these random numbers."""
    return Prover(case, seed).prove()
