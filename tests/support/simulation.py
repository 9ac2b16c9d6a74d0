"""The tables of a segment filled in plainly from opened leaves: what a schedule must make come out.

Only public columns say where anything comes from; nothing of the program is looked at. Values are
Python integers. Every bus is kept as a dictionary, and what is provided is used up exactly.
"""

from __future__ import annotations

from collections import Counter
from keyword import iskeyword

import numpy as np

from zktally.verifier.hybrid.schedule import COLUMNS, Schedule, Table
from zktally.verifier.openings import LEAF_BITS, Proof
from zktally.verifier.poseidon2 import Domain, compress, keyed, permute
from zktally.verifier.reader import P

from .plain_records import PlainRecords
from .schedule_digest import Derived

O_DIRECT = 127 << 23


def signed(word):
    return word if word <= P // 2 else word - P


class Row:
    """The public columns of a row by their names, as signed integers."""

    def __init__(self, table, row):
        for name, at in COLUMNS[table].at.items():
            setattr(self, f"{name}_" if iskeyword(name) else name, row[at])


class Simulation:
    """Runs all tables of a segment; each method asserts what its constraints and lookups would."""

    def __init__(self, derived: Derived, schedule: Schedule, proof: Proof, prover) -> None:
        self.derived, self.schedule, self.proof = derived, schedule, proof
        self.seed, self.plain = prover.seed.tolist(), PlainRecords(prover)
        self.elements: dict[int, int] = {}
        self.element_uses: Counter[int] = Counter()
        self.memory: dict[int, int] = {}
        self.unused: Counter[int] = Counter()
        self.digest: dict[int, tuple[int, ...]] = {}
        self.place: dict[int, tuple[int, int, int]] = {}
        self.blocks: list[list[int]] = []
        self.block_uses: Counter[int] = Counter()
        self.sums: dict[int, int] = {}
        self.limbs: dict[int, list[int]] = {}
        self.words: dict[int, int] = {}
        self.kinds: Counter[str] = Counter()
        self.accumulators: list[int] = []

    def rows(self, table):
        words = self.schedule.words.get(table)
        if words is None:
            return []
        return [Row(table, [signed(w) for w in row]) for row in np.asarray(words).T.tolist()]

    def run(self):
        self.ranges = {}
        for row in self.rows(Table.RANGE):
            self.ranges.setdefault(row.class_, set()).add(row.x)
        self.act = {(row.table, row.x): row.y for row in self.rows(Table.ACT)}
        self._sponge()
        self._nodes()
        self._digests()
        self._records()
        self._terms()
        self._spread()
        self._wide()
        self._noise()
        self._row_dot()
        self._read_dot()
        self._limbs()
        self._gates()
        self._picks()
        self._scans()
        self._divs()
        # Everything that is provided is used as often as its row says.
        assert not +self.unused
        assert not -self.unused
        assert not self.sums
        assert not self.limbs
        assert not self.digest
        assert self.block_uses == Counter(
            {row.block: row.uses for row in self.rows(Table.SPONGE) if row.uses}
        )
        return self

    def read(self, address):
        self.unused[address] -= 1
        return self.memory[address]

    def factor(self, columns):
        x, r, k = columns
        assert r in (0, 1)
        if not r:
            assert x == 0
            return k
        return self.read(x) + k

    def below(self, value, sigma):
        """The lookup of x and sigma·x."""
        assert 0 <= value < 4096
        assert value * sigma < 4096

    def _sponge(self):
        """Replays all leaves from the opened bytes and salts."""
        rows = self.rows(Table.SPONGE)
        key = self.proof.tree << LEAF_BITS | self.proof.leaf
        opened = self.opened = []
        number, state = -1, None
        self.record_of: dict[Domain, list[int]] = {}
        self.record_blocks: list[int] = []
        self.ended = 0
        for row in rows:
            assert row.block == len(self.blocks)
            if row.domain == int(Domain.SEED):
                self._seed_row(row)
                continue
            if row.first and row.domain != int(Domain.LEAF):
                number += 1
                elements, at = self._next_record(row, number), None
                assert row.n == len(elements)
                state = [0] * 24
                state[16:19] = row.n, row.domain, row.aux
                is_data, filled = [], []
            elif row.first:
                number += 1
                at = self._next_leaf(number)
                opened.append(int(key[at]))
                data = self.proof.packed(np.array([at]), int(self.proof.lengths[at]))[0].tolist()
                elements = [
                    sum(b << 8 * i for i, b in enumerate(data[j : j + 3]))
                    for j in range(0, len(data), 3)
                ]
                filled = data + [0] * (3 * len(elements) - len(data))
                is_data = [1] * len(elements)
                elements += self.proof.salts[at].tolist()
                assert (row.n, row.domain) == (len(elements), int(Domain.LEAF))
                state = [0] * 24
                state[16], state[17] = row.n, row.domain
            else:
                assert (row.n, row.domain, row.aux) == (0, 0, 0)
            assert row.data == (is_data + [0] * 16)[:16]
            assert row.filling == [int(j >= len(elements)) for j in range(16)]
            if at is None:
                self.blocks.append(elements[:16])
                self.record_blocks.append(row.block)
            else:
                self._block(row, filled)
            state[:16] = (elements + [0] * 16)[:16]
            elements, is_data, filled = elements[16:], is_data[16:], filled[48:]
            state = permute(np.array([state], np.uint64))[0].tolist()
            assert row.link == bool(elements) == (not row.last)
            assert row.node == (number if row.last else 0)
            if row.last:
                self.digest[number] = tuple(state[:8])
                if at is not None:
                    tree = int(self.proof.tree[at])
                    self.place[number] = (tree, 0, int(self.proof.leaf[at]))
        self.leaf_count = number + 1
        assert opened == sorted(set(opened))

    def _next_leaf(self, number):
        return self.expected_leaves[number]

    def _next_record(self, row, number):
        """The elements of the next record; of steps and inputs, its place in their trees."""
        plain, domain = self.plain, Domain(row.domain)
        self.record_of.setdefault(domain, []).append(number)
        trees = len(self.derived.trees)
        if domain is Domain.STEP:
            step = self.steps_of[len(self.record_of[domain]) - 1]
            self.place[number] = (trees, 0, step)
            return plain.steps[step]
        if domain is Domain.INPUT:
            step = self.items[len(self.record_of[domain]) - 1]
            self.place[number] = (trees + 1, 0, step)
            return plain.inputs[step]
        if domain is Domain.STATE and Domain.STEP in self.record_of:
            self.ended += 1
            return plain.after[self.items[self.ended - 1]]
        after = Domain.STEP in self.record_of
        names = {
            Domain.WEIGHTS: "exported" if after else "weights",
            Domain.DATASET: "data",
            Domain.STATE: "initial",
            Domain.CHAIN: "chain",
            Domain.INPUTS: "input tree",
        }
        return plain.once[names[domain]]

    def _digests(self):
        """What is provided element by element: a digest hashed here, or whatever is taken first."""
        for number, row in enumerate(self.rows(Table.DIGEST)):
            assert row.at == 8 * number
            digest = self.digest.pop(row.node) if row.has else [None] * 8
            assert row.has or (row.node == 0 and row.uses > 1)
            for i, element in enumerate(digest):
                self.elements[row.at + i] = element
                self.element_uses[row.at + i] = row.uses

    def _records(self):
        rows = self.rows(Table.RECORD)
        assert [row.block for row in rows] == self.record_blocks
        for row in rows:
            self.block_uses[row.block] += 1
            for j, element in enumerate((self.blocks[row.block] + [0] * 16)[:16]):
                if row.fixed[j]:
                    assert element == row.at[j] % P
                if row.taken[j]:
                    assert not row.fixed[j]
                    if self.elements[row.at[j]] is None:
                        self.elements[row.at[j]] = element
                    assert self.elements[row.at[j]] == element
                    self.element_uses[row.at[j]] -= 1
                    self.kinds["taken"] += 1
        assert not +self.element_uses
        assert not -self.element_uses

    def _block(self, row, filled):
        block = (filled + [0] * 48)[:48]
        for j, byte in enumerate(block):
            if row.data[j // 3]:
                assert byte in self.ranges[row.class_[j]]
            else:
                assert row.class_[j] == 0
        for j, byte in enumerate(block):
            self.memory[48 * row.block + j] = byte - 128
        self.blocks.append(block)

    def _seed_row(self, row):
        seed = self.seed
        assert (row.first, row.last, row.n, row.data) == (1, 1, 8, [0] * 16)
        assert row.filling == [0] * 8 + [1] * 8
        state = [*seed, *[0] * 8, 8, int(Domain.SEED), *[0] * 6]
        out = permute(np.array([state], np.uint64))[0, :8].tolist()
        self.digest[row.node] = tuple(out)
        self.blocks.append(seed)
        self.seed_node, self.seed_block = row.node, row.block

    def _nodes(self):
        """Each row's children are two halves of one node; siblings come from the real trees."""
        for number, row in enumerate(self.rows(Table.NODE)):
            assert row.out == self.leaf_count + number
            known = [(row.left, row.has_left), (row.right, row.has_right)]
            assert row.has_left or row.has_right
            at = next(self.place[node] for node, has in known if has)
            tree, level, position = at[0], at[1], at[2] // 2
            pair = []
            for side, (node, has) in enumerate(known):
                if has:
                    assert self.place[node] == (tree, level, 2 * position + side)
                    pair.append(self.digest.pop(node))
                else:
                    assert node == 0
                    pair.append(self.sibling(tree, level, 2 * position + side))
            assert row.alone == (2 * position + 1 >= len(self.levels[tree][level]))
            left, right = (np.array([d], np.uint64) for d in pair)
            self.digest[row.out] = tuple(compress(left, right)[0].tolist())
            self.place[row.out] = (tree, level + 1, position)

    def sibling(self, tree, level, position):
        levels = self.levels[tree]
        if position >= len(levels[level]):
            return (0,) * 8
        return tuple(int(e) for e in levels[level][position])

    def _terms(self):
        digests, reads = self.schedule.terms.groups
        assert (digests.bus, reads.bus) == (1, 3)
        for number, *digest in digests.tuples.tolist():
            assert self.digest.pop(number) == tuple(digest)
        for address, value in reads.tuples.tolist():
            assert self.read(address) == signed(value)

    def _spread(self):
        before = -1
        for row in self.rows(Table.SPREAD):
            assert row.block > before
            before = row.block
            self.block_uses[row.block] += 1
            assert any(row.uses)
            for j, uses in enumerate(row.uses):
                self.unused[48 * row.block + j] += uses

    def _wide(self):
        before = -1
        for number, row in enumerate(self.rows(Table.WIDE)):
            assert row.x > before
            before = row.x
            width = 3 if row.three else 2
            assert row.offset == 1 << 8 * width - 1
            joined = sum(self.read(row.x + i) + 128 << 8 * i for i in range(width))
            value = joined - row.offset
            assert row.lo <= value <= row.hi
            assert row.address == 48 * len(self.blocks) + number
            self.memory[row.address] = value
            self.unused[row.address] += row.uses

    def _noise(self):
        used = Counter()
        for number, row in enumerate(self.rows(Table.NOISE)):
            assert row.seed_block == self.seed_block
            self.block_uses[row.seed_block] += 1
            x = [*self.seed, int(Domain.PRF), row.step, row.domain, row.block]
            out = keyed(np.array([x + [0] * 4], np.uint64))[0].tolist()
            assert row.first_word == 16 * number
            for i, word in enumerate(out):
                self.words[row.first_word + i] = word
                used[row.first_word + i] += row.uses[i]
        for number, row in enumerate(self.rows(Table.BITS)):
            used[row.word_at] -= 1
            bits = row.power.bit_length() - 1
            value, high = self.words[row.word_at] % row.power, self.words[row.word_at] >> bits
            high %= 1 << 24 - bits
            limbs = [value % 4096, value >> 12, high % 4096, high >> 12]
            for limb, sigma in zip(limbs, row.sigma_v + row.sigma_h, strict=True):
                self.below(limb, sigma)
            sizes = [min(bits, 12), max(bits - 12, 0), min(24 - bits, 12), max(12 - bits, 0)]
            assert row.sigma_v + row.sigma_h == [1 << 12 - n for n in sizes]
            address = 48 * len(self.blocks) + len(self.rows(Table.WIDE)) + number
            assert row.address == address
            self.memory[address] = row.lo + value
            self.unused[address] += row.uses
        assert not +used
        assert not -used

    def _row_dot(self):
        run, slot = 0, None
        for row in self.rows(Table.ROW_DOT):
            a, b = self.blocks[row.block_a], self.blocks[row.block_b]
            self.block_uses[row.block_a] += 1
            self.block_uses[row.block_b] += 1
            run += sum(m * (x - row.ca) * (y - row.cb) for m, x, y in zip(row.m, a, b, strict=True))
            slot, run = self._close(row, slot, run)
            self.kinds["aligned rows"] += 1

    def _read_dot(self):
        run, slot = 0, None
        for row in self.rows(Table.READ_DOT):
            for j in range(0, 96, 6):
                run += self.factor(row.products[j : j + 3]) * self.factor(
                    row.products[j + 3 : j + 6]
                )
            slot, run = self._close(row, slot, run)

    def _close(self, row, slot, run):
        """Rows of a stream are linked and have one slot; its last one provides the sum."""
        assert row.link == 1 - row.last
        assert slot in (None, row.slot)
        if not row.last:
            return row.slot, run
        assert row.slot not in self.sums
        assert abs(run) <= O_DIRECT
        self.sums[row.slot] = run
        return None, 0

    def _limbs(self):
        for row in self.rows(Table.LIMBS):
            total = self.factor(row.bias) + sum(c << 24 * i for i, c in enumerate(row.cst))
            assert all(0 <= c < 1 << 24 for c in row.cst[:2])
            assert row.slot == 11 * row.gate + 2
            for pair, has in enumerate(row.has):
                if has:
                    joined = self.sums.pop(row.slot + pair) + O_DIRECT
                    assert 0 <= joined < 2**31
                    total += joined << 8 * (pair // 3 + pair % 3)
            assert 0 <= total < 1 << 48
            self.limbs[row.gate] = [total >> 12 * i & 4095 for i in range(4)]
            self.kinds["wide"] += 1

    def _gates(self):
        for number, row in enumerate(self.rows(Table.GATE)):
            assert (row.slot_a, row.slot_b) == (11 * number, 11 * number + 1)
            if row.direct:
                acc = self.factor(row.bias)
                acc += self.sums.pop(row.slot_a) if row.has_a else 0
                acc += self.sums.pop(row.slot_b) if row.has_b else 0
                shifted = acc + row.offset
                u = [shifted & 4095, shifted >> 12 & 4095, shifted >> 24, 0]
                assert row.row == 0
            else:
                assert (row.has_a, row.has_b, row.bias, row.row) == (0, 0, [0, 0, 0], number)
                u = self.limbs.pop(number)
                shifted = sum(x << 12 * i for i, x in enumerate(u))
                acc = shifted - (1 << 47)
            self.accumulators.append(acc)
            assert u[2] in self.ranges[row.class_u2]
            self.below(u[3], row.sigma_u3)
            self._requantise(row, acc, u)

    def _requantise(self, row, acc, u):
        m, rho = self.factor(row.mult), self.factor(row.rounding)
        offset, base = (sum(d << 12 * i for i, d in enumerate(c)) for c in (row.o, row.cst))
        unit = sum(d << 12 * i for i, d in enumerate(row.alpha))
        assert sum(d << 12 * i for i, d in enumerate(row.beta)) == unit << 12
        part = sum(d << 12 * i for i, d in enumerate(row.gamma))
        assert sum(d << 12 * i for i, d in enumerate(row.delta)) == part << 12
        assert offset == (O_DIRECT if row.direct else 1 << 47)
        t, r = divmod(acc * m + base + rho * part, unit)
        ts, ps = ([x & 4095, x >> 12] for x in (t, rho))
        rs = [r >> 12 * i & 4095 for i in range(4)]
        for x, sigma in zip(ts + rs + ps, row.sigma_t + row.sigma_r + row.sigma_p, strict=True):
            self.below(x, sigma)
        carry = 0
        us, rs = [*u, 0, 0], [*rs, 0, 0]
        for i in range(6):
            x = us[i] * m + row.cst[i] + row.gamma[i] * ps[0] + row.delta[i] * ps[1]
            x -= row.alpha[i] * ts[0] + row.beta[i] * ts[1] + rs[i] + row.o[i] * m
            carry, rest = divmod(x + carry, 4096)
            assert rest == 0
            assert abs(carry) < 1 << 17
        assert carry == 0
        c = min(max(t + row.qoff, row.clo), row.chi)
        assert self.read(row.y_at) == (self.act[row.act, c] if row.has_act else c)
        self.kinds["clamped"] += c != t + row.qoff
        self.kinds["rounded"] += any(row.gamma)
        self.kinds["gates"] += 1

    def _picks(self):
        for row in self.rows(Table.PICK):
            a, b, c = (self.factor(f) for f in (row.a, row.b, row.c))
            assert row.copy + row.greater + row.equal + row.select == 1
            found = row.copy * a + row.greater * (a > b) + row.equal * (a == b)
            found += row.select * (a if c else b)
            assert self.read(row.y_at) == found
            self.kinds["picks"] += 1

    def _scans(self):
        seen = []
        for row in self.rows(Table.SCAN):
            assert row.k == len(seen)
            seen.append(self.factor(row.value))
            assert row.compare == (row.larger and row.k > 0)
            assert row.first_max == (row.larger and row.k == 0)
            assert row.link == 1 - row.last_value - row.last_index - row.last_gather
            index = self.factor(row.index)
            if row.link:
                assert row.y_at == 0
                assert row.index == [0, 0, 0]
                continue
            best = max(seen)
            found = best if row.last_value else seen.index(best)
            found = seen[index] if row.last_gather else found
            assert self.read(row.y_at) == found
            seen = []
            self.kinds["scans"] += 1
        assert not seen

    def _divs(self):
        for row in self.rows(Table.DIV):
            n, d = self.factor(row.num), self.factor(row.den)
            if row.quotient:
                q, r = divmod(row.scale * n + d, 2 * d)
                assert (row.two, row.q_offset) == (2, 1 << 23)
            else:
                q = int(np.sqrt(row.scale * n))
                r = row.scale * n - q * q
                assert 0 <= r <= 2 * q
                assert (row.two, row.q_offset) == (1, 0)
            assert self.read(row.y_at) == min(max(q + row.zero, row.lo), row.hi)
            self.kinds["divs"] += 1


def simulate(derived: Derived, number: int, prover, receipt: bytes) -> Simulation:
    """Run one segment of a receipt of `receipts.Prover`."""
    from zktally.verifier.hybrid.leaves import opened_keys
    from zktally.verifier.receipt import split_receipt

    proof = Proof.parse(split_receipt(receipt).proof[32:], derived.trees, derived.plan)
    run = Simulation(derived, derived.segment(number), proof, prover)
    items = derived.items.between(*derived.bounds[number : number + 2])
    keys = opened_keys(derived.trees, items)
    run.items = items.records.tolist()
    stepped = len(derived.trees.stepped)
    once = len(derived.trees) - derived.trees.steps * stepped
    opened = {(tree - once) // stepped for tree in (keys >> LEAF_BITS).tolist() if tree >= once}
    before = {step - 1 for step in run.items if step and prover.program.states}
    run.steps_of = sorted(opened | set(run.items) | before)
    run.expected_leaves = np.searchsorted(proof.tree << LEAF_BITS | proof.leaf, keys).tolist()
    run.levels = [*(tree.levels for tree in prover.trees.values()), *run.plain.levels]
    run.run()
    assert run.opened == keys.tolist()
    return run
