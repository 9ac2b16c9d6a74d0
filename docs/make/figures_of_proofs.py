"""Figures of docs/hybrid.md and docs/stark.md: buses, rounds, trees over matrices, folding."""

from __future__ import annotations

from itertools import pairwise

from drawing import Figure


def buses() -> Figure:
    """Which table gives what to which."""
    f = Figure(620, "The tables of a segment and their buses")
    sponge = f.box(40, 40, 150, 50, "0 sponge\na block a row", "hash")
    node = f.box(300, 40, 150, 50, "1 node\ninner nodes", "hash")
    records = f.box(560, 30, 170, 46, "13 digest, 14 record\nroots in records", "hash")
    f.box(560, 94, 170, 30, "public terms: digests", "public")
    f.arrow(sponge.right, node.left)
    f.note(245, 58, "digest", "middle")
    f.arrow(node.right, (505, node.right[1]), (505, records.left[1]), records.left)
    f.note(505, 44, "digest", "middle")
    f.arrow((160, 90), (160, 109), (560, 109))
    f.note(470, 104, "digest")
    spread = f.box(40, 180, 150, 50, "2 spread\nbytes of blocks", "data")
    row_dot = f.box(300, 180, 150, 50, "4 row_dot\nwhole blocks", "data")
    noise = f.box(560, 180, 170, 50, "11 noise\ncalls of F", "data")
    f.line((115, 90), (115, 136))
    f.line((115, 136), (645, 136))
    for each in (spread, row_dot, noise):
        f.arrow((each.top[0], 136), each.top)
    f.note(125, 128, "block: 48 bytes each")
    wide = f.box(40, 300, 150, 50, "3 wide\nvalues of 2, 3 bytes", "data")
    bits = f.box(560, 300, 170, 50, "12 bits\nprf values", "data")
    f.arrow(spread.bottom, wide.top)
    f.note(124, 270, "read")
    f.arrow(noise.bottom, bits.top)
    f.note(654, 270, "word")
    read_dot = f.box(300, 300, 150, 50, "5 read_dot\nproducts", "data")
    f.arrow(wide.right, read_dot.left)
    f.note(245, 318, "read", "middle")
    f.arrow(bits.left, read_dot.right)
    f.note(525, 318, "read", "middle")
    f.arrow((190, 205), (245, 205), (245, 262), (330, 262), (330, 300))
    f.box(
        230,
        430,
        300,
        66,
        "6 limbs → 7 gate (dot)\n8 pick, 9 scan, 10 div\none row or more for each gate",
        "hash",
    )
    f.arrow(read_dot.bottom, (375, 430))
    f.note(383, 392, "acc: sums")
    f.arrow((450, 205), (490, 205), (490, 430))
    f.note(498, 392, "acc")
    f.arrow((90, 350), (90, 463), (230, 463))
    f.note(100, 420, "read (also from\nspread, 2)")
    f.arrow((680, 350), (680, 463), (530, 463))
    f.note(670, 420, "read", "end")
    act = f.box(40, 546, 150, 50, "15 act\nlookup tables", "public")
    f.box(300, 546, 160, 50, "public terms:\noutput bytes", "public")
    f.box(560, 546, 170, 50, "16 range\nvalues of all classes", "public")
    f.arrow(act.right, (250, 571), (250, 496))
    f.note(258, 530, "act")
    f.arrow((610, 546), (610, 480), (530, 480))
    f.note(618, 530, "range: all tables")
    f.arrow((40, 205), (20, 205), (20, 610), (380, 610), (380, 596))
    f.note(390, 612, "read: the outputs of the journal")
    return f


def rounds() -> Figure:
    """The rounds of the STARK."""
    f = Figure(590, "The rounds of the STARK")
    f.text(30, 32, "prover sends (absorbed)")
    f.text(470, 32, "verifier draws (squeezed)")
    rows = (
        ("context, parameters, tables", "public", ""),
        ("main root: witness columns", "hash", "α, β: tell tuples apart"),
        ("auxiliary root: φ, acc; terminals", "hash", "γ: joins all constraints"),
        ("quotient root: chunks, mask", "hash", "ζ: where columns are opened"),
        ("all columns at ζ, some at ω_k·ζ", "data", "work; η: joins all openings"),
        ("for each folding round r: its root", "hash", "for each: work; β_r folds"),
        ("final polynomial", "data", "work; queries: positions"),
        ("rows at the queries, siblings", "data", ""),
    )
    for i, (sent, fill, drawn) in enumerate(rows):
        y = 48 + 62 * i
        left = f.box(30, y, 350, 40, sent, fill)
        if drawn:
            right = f.box(470, y + 24, 260, 38, drawn, "plain")
            f.arrow(left.right, (450, y + 20), (450, y + 43), right.left)
        if i:
            f.arrow((205, y - 22), (205, y))
    f.note(
        30,
        556,
        "Each challenge is drawn from the hash of all that was sent before it: nothing can be",
    )
    f.note(30, 573, "fitted to a challenge afterwards.")
    return f


def mixed_tree() -> Figure:
    """A tree over matrices of two heights."""
    f = Figure(350, "A tree over matrices of two heights")
    leaves = [f.box(30 + 90 * i, 270, 78, 40, f"row(3, {i})", "data") for i in range(8)]
    f.note(30, 332, "rows of the matrices of 2^3 rows, each with its salt: the leaves (L = 3)")
    level = leaves
    for depth, y in ((2, 190), (1, 110), (0, 30)):
        joined = [
            f.box((a.x + b.x + a.w) / 2 - 56, y, 112, 40, f"node({depth}, {i})", "hash")
            for i, (a, b) in enumerate(zip(level[::2], level[1::2], strict=True))
        ]
        for node, a, b in zip(joined, level[::2], level[1::2], strict=True):
            f.arrow(a.top, node.bottom)
            f.arrow(b.top, node.bottom)
        level = joined
        if depth == 1:
            for i, node in enumerate(joined):
                side = f.box(node.x + (124 if i == 0 else -98), y, 86, 40, f"row(1, {i})", "data")
                f.arrow(side.left if i == 0 else side.right, node.right if i == 0 else node.left)
    f.note(30, 48, "root = node(0, 0)")
    f.note(30, 66, "matrices of 2^1 rows\njoin at level 1")
    return f


def folding() -> Figure:
    """The rounds of folding."""
    f = Figure(440, "Folding, and how a shorter height joins")
    rows = (
        (680, "G of the tallest height: 2^(k_max + b) values", "hash"),
        (430, "round 0 folded: 1/8 as long, β_0", "plain"),
        (280, "round 1 folded, β_1", "plain"),
        (210, "round 2 …", "plain"),
    )
    boxes = []
    for i, (w, text, fill) in enumerate(rows):
        boxes.append(f.box(30, 30 + 88 * i, w, 40, text, fill))
    for a, b in pairwise(boxes):
        f.arrow((a.x + 90, a.y + 40), (b.x + 90, b.y))
        f.line((a.x + a.w, a.y + 40), (b.x + b.w, b.y), dashed=True)
    join = f.box(450, 206, 280, 40, "G_k of a shorter height", "hash")
    f.arrow(join.left, (310, 226))
    f.note(380, 246, "+ β_1^(2^a) · G_k", "middle")
    f.box(30, 382, 210, 40, "final polynomial", "data")
    f.arrow((120, 334), (120, 382))
    f.note(
        256,
        400,
        "32 coefficients, sent whole; a query passes that folds,\nround by round, to its value",
    )
    f.note(130, 88, "fold: (v0 + v1)/2 + β·(v0 − v1)/(2X), with β, β², β⁴: 8 values into one")
    f.note(
        256,
        300,
        "the word that a round folds has a tree; a row of it, 8 values,\nis what a query opens",
    )
    return f
