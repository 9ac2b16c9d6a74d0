"""Figures of docs/protocol.md and docs/receipt-format.md: trees, records, receipts, runs."""

from __future__ import annotations

from drawing import Figure


def leaf() -> Figure:
    """From a tensor to the digest of one of its leaves."""
    f = Figure(406, "From a tensor to a leaf")
    f.text(20, 32, "tensor of shape (2, 5), permuted by order; trailing = 1: a row has 5 elements")
    for row in range(2):
        f.text(20, 84 + 66 * row, f"row {row}")
        x = 80.0
        for piece, size in enumerate((2, 2, 1)):
            for slot in range(size):
                value = f"v{5 * row + 2 * piece + slot}"
                f.box(x, 60 + 66 * row, 56, 38, value, "data")
                x += 56
            f.note(x - 28 * size, 55 + 66 * row, f"leaf {3 * row + piece}", "middle")
            x += 22
    f.note(460, 84, "piece = 2: pieces of 2, 2, 1\na piece is a leaf")
    f.arrow((136, 164), (136, 204))
    f.note(150, 190, "pack: w little-endian bytes of v + 2^(8w−1), here w = 2 (leaf 3: v5, v6)")
    for i, t in enumerate(("b0", "b1", "b2", "b3")):
        f.box(80 + 44 * i, 206, 44, 34, t, "data")
    for i in range(2):
        f.box(256 + 44 * i, 206, 44, 34, "0", "zero")
    f.note(360, 228, "filled with zeros to whole groups of three")
    elements = [f.box(80, 270, 132, 36, "element 0", "data")]
    elements.append(f.box(212, 270, 132, 36, "element 1", "data"))
    salt = f.box(344, 270, 200, 36, "salt: 5 elements", "secret")
    for element in elements:
        f.arrow((element.top[0], 240), element.top)
    f.note(556, 293, "E = 2 data elements")
    digest = f.box(80, 346, 464, 40, "leaf digest = H(LEAF, 0; data elements ‖ salt)", "hash")
    for part in (*elements, salt):
        f.arrow(part.bottom, (part.bottom[0], digest.y))
    f.note(556, 371, "8 field elements")
    return f


def tree() -> Figure:
    """A tree over five digests."""
    f = Figure(330, "A tree over five leaf digests")
    leaves = [f.box(30 + 104 * i, 262, 84, 38, f"leaf {i}", "hash") for i in range(5)]
    first_zero = f.box(30 + 104 * 5, 262, 84, 38, "zero", "zero")
    pairs = [(leaves[0], leaves[1]), (leaves[2], leaves[3]), (leaves[4], first_zero)]
    names = ("C(l0, l1)", "C(l2, l3)", "C(l4, zero)")
    level = [
        f.box((a.x + b.x) / 2 - 18, 182, 120, 38, name, "hash")
        for name, (a, b) in zip(names, pairs, strict=True)
    ]
    for node, (a, b) in zip(level, pairs, strict=True):
        f.arrow(a.top, node.bottom)
        f.arrow(b.top, node.bottom)
    second_zero = f.box(650, 182, 84, 38, "zero", "zero")
    upper = [
        f.box(134, 102, 120, 38, "C(l, r)", "hash"),
        f.box(556, 102, 120, 38, "C(l, zero)", "hash"),
    ]
    for node, (a, b) in zip(upper, ((level[0], level[1]), (level[2], second_zero)), strict=True):
        f.arrow(a.top, node.bottom)
        f.arrow(b.top, node.bottom)
    root = f.box(320, 24, 160, 38, "root of the tensor", "public")
    for node in upper:
        f.arrow(node.top, root.bottom)
    f.note(30, 42, "C(l, r) = P16(l ‖ r)[0..8] + l")
    f.note(30, 60, "where a right node is missing: the zero digest")
    return f


def weights() -> Figure:
    """Weights root and model id, data set root."""
    f = Figure(400, "Weights root, model id and data set root")
    f.text(30, 32, "the model (its key is in every salt)")
    roots = [f.box(30 + 112 * i, 48, 100, 48, f"root of\nweight {i}", "hash") for i in range(3)]
    root = f.box(30, 150, 324, 48, "weights root =\nH(WEIGHTS, 3; roots in tensor order)", "public")
    for each in roots:
        f.arrow(each.bottom, (each.bottom[0], root.y))
    program = f.box(400, 48, 330, 48, "program bytes", "data")
    named = f.box(
        400, 150, 330, 48, 'program id =\nSHA-256("zktally program v1\\0" ‖ bytes)', "public"
    )
    f.arrow(program.bottom, named.top)
    model = f.box(
        130,
        240,
        500,
        40,
        'model id = SHA-256("zktally model v1\\0" ‖ program id ‖ weights root)',
        "public",
    )
    f.arrow(root.bottom, (root.bottom[0], model.y))
    f.arrow(named.bottom, (named.bottom[0], model.y))
    f.line((20, 298), (740, 298), dashed=True)
    f.text(30, 322, "the data set")
    data = [
        f.box(30 + 150 * i, 336, 138, 48, f"root of data {i}\nover R records", "hash")
        for i in range(2)
    ]
    found = f.box(400, 336, 330, 48, "data set root =\nH(DATASET, 2; R ‖ roots)", "public")
    f.arrow(data[1].right, found.left)
    f.line((99, 336), (99, 330), (330, 330), (330, 354))
    f.arrow((330, 354), (400, 354))
    return f


def step() -> Figure:
    """The record of a step."""
    f = Figure(400, "The record of a step")
    fields = (
        ("program id (11)", "public", "which program"),
        ("position", "public", "first + j: where in the run"),
        ("weights root", "public", "with which weights"),
        ("state digest before", "hash", "what the step began with"),
        ("state digest after", "hash", "H(STATE, 0; roots of the linked values)"),
        (
            "roots of the input and value tensors",
            "hash",
            "in tensor order: all that was read and computed",
        ),
    )
    boxes = []
    for i, (name, fill, why) in enumerate(fields):
        boxes.append(f.box(30, 24 + 40 * i, 290, 40, name, fill))
        f.note(334, 49 + 40 * i, why)
    digest = f.box(30, 316, 290, 44, "step digest j = H(STEP, 0; …)", "hash")
    f.arrow((175, 264), digest.top)
    f.box(450, 316, 280, 44, "state before, of step j + 1", "hash")
    f.arrow((30, 204), (14, 204), (14, 382), (590, 382), (590, 360), dashed=True)
    f.note(450, 304, "the state after a step is that before the next")
    return f


def chain() -> Figure:
    """The chain tree and the tree of inputs."""
    f = Figure(400, "Chain root and input root")
    for x, name, root, of in (
        (20, "STEP digest", "chain root", "CHAIN"),
        (390, "INPUT digest", "input root", "INPUTS"),
    ):
        leaves = [
            f.box(x + 118 * i, 300, 106, 48, f"{name}\nof step {i}", "hash") for i in range(3)
        ]
        inner = [
            f.box(x + 46, 218, 130, 38, "C(l, r)", "hash"),
            f.box(x + 220, 218, 130, 38, "C(l, zero)", "hash"),
        ]
        for leaf_box, node in zip(leaves, (inner[0], inner[0], inner[1]), strict=True):
            f.arrow(leaf_box.top, node.bottom)
        top = f.box(x + 120, 140, 130, 38, "C(l, r)", "hash")
        for node in inner:
            f.arrow(node.top, top.bottom)
        found = f.box(
            x + 20, 48, 310, 48, f"{root} =\nH({of}, 0; N ‖ tree over the digests)", "public"
        )
        f.arrow(top.top, (top.top[0], found.y + found.h))
    f.note(20, 374, "H(STEP, 0; the record of the step)")
    f.note(390, 374, "H(INPUT, 0; position ‖ roots of the inputs)")
    f.text(20, 32, "N = 3 steps")
    return f


def seed() -> Figure:
    """From the roots to what is opened."""
    f = Figure(470, "From the chain root to the openings")
    first = f.box(30, 24, 210, 60, "all values of all steps\nare committed", "secret")
    root = f.box(280, 24, 200, 60, "chain root, input root,\nweights root, states", "public")
    claims = f.box(520, 24, 210, 60, "claims: δ, λ, exact ops;\noutputs, labels", "public")
    f.arrow(first.right, root.left)
    journal = f.box(280, 128, 450, 44, "journal", "public")
    f.arrow(root.bottom, (root.bottom[0], 128))
    f.arrow(claims.bottom, (claims.bottom[0], 128))
    f.box(180, 216, 550, 44, 'seed = SHA-256("zktally seed v1\\0" ‖ journal, mode byte 0)', "hash")
    f.arrow(journal.bottom, (journal.bottom[0], 216))
    streams = [
        f.box(30, 304, 220, 62, "stream 0: s draws\nby weight, all steps", "plain"),
        f.box(270, 304, 220, 62, "stream 1 + c: e_c draws\nevenly in op c", "plain"),
        f.box(510, 304, 220, 62, "stream 2^31 + j: draws\nin step j, if claimed", "plain"),
    ]
    for each in streams:
        f.arrow((each.top[0] if each.top[0] > 190 else 200, 260), each.top)
    f.box(150, 404, 580, 44, "gates to check, and with them the leaves that are opened", "data")
    for each in streams:
        f.arrow(each.bottom, (max(each.bottom[0], 170), 404))
    f.note(30, 422, "+ every gate of\nenumerated ops")
    f.note(30, 150, "nothing can be changed\nbehind this point: another\njournal, other draws")
    return f


def receipt() -> Figure:
    """The layout of a receipt."""
    f = Figure(560, "The layout of a receipt")
    f.text(30, 32, "receipt")
    parts = (
        ("ZKTALLY, 3 or 4", "plain", 1, 40),
        ("u32, program", "data", 4, 90),
        ("u32, journal", "public", 4, 210),
        ("u32, proof", "plain", 4, 160),
    )
    y, found = 44.0, []
    for name, fill, _, height in parts:
        found.append(f.box(30, y, 160, height, name, fill))
        y += height
    f.text(250, 32, "journal (what is claimed)")
    rows = (
        "version, mode",
        "program id, weights root, data set root",
        "first, steps, items",
        "δ, δ_step, δ_op, λ, exact ops",
        "chain root, input root",
        "initial state, final state, exported root",
        "seed commitment, seed, start",
        "input key, inputs (optional)",
        "outputs",
        "audience, nonce (optional)",
    )
    for i, row in enumerate(rows):
        f.box(250, 44 + 25 * i, 480, 25, row, "public")
    f.line((190, 174), (250, 44))
    f.line((190, 384), (250, 294))
    for x, name, lines in (
        (
            250,
            "proof of a fast receipt",
            (
                ("seed (32 bytes)", "public"),
                ("roots of weights, data, states", "public"),
                ("roots of inputs and values", "public"),
                ("prf seed, if any", "data"),
                ("opened leaves, salts, siblings", "data"),
            ),
        ),
        (
            500,
            "… of a hybrid or strict one",
            (
                ("SHA-256 of the journal", "public"),
                ("profile (u8)", "public"),
                ("STARK of segment 0", "secret"),
                ("… of segment S − 1", "secret"),
            ),
        ),
    ):
        f.text(x, 338, name)
        for i, (line, fill) in enumerate(lines):
            f.box(x, 350 + 33 * i, 230, 33, line, fill)
    f.line((190, 384), (250, 350), dashed=True)
    f.line((190, 544), (250, 515), dashed=True)
    return f


def run() -> Figure:
    """How receipts of one run follow each other."""
    f = Figure(380, "Receipts of one run")
    first = f.box(30, 70, 200, 150, "", "plain")
    second = f.box(280, 70, 200, 150, "", "plain")
    last = f.box(530, 70, 200, 150, "", "plain")
    for number, (each, steps) in enumerate(
        ((first, "steps 0 … 99"), (second, "steps 100 … 199"), (last, "steps 200 … 249"))
    ):
        f.text(each.x + 100, 60, f"receipt {number}", "middle")
        f.text(each.x + 100, 95, steps, "middle")
        f.box(each.x + 10, 110, 180, 34, "initial state", "public")
        f.box(each.x + 10, 172, 180, 34, "final state", "public")
        f.arrow((each.x + 100, 144), (each.x + 100, 172))
    for a, b in ((first, second), (second, last)):
        f.arrow((a.x + 190, 189), (a.x + 225, 189), (a.x + 225, 127), (b.x + 10, 127))
    f.note(150, 240, "equal states; the first position of the next is first + N of the one before")
    f.box(
        30,
        262,
        700,
        40,
        "equal: program id, weights root, data set root, seed, commitment, nonce",
        "hash",
    )
    f.text(30, 36, "start: declared by the program, or a root")
    f.arrow((60, 42), (60, 110), dashed=True)
    served = f.box(400, 326, 330, 38, "weights root of the served model", "public")
    f.box(30, 326, 250, 38, "exported root of the last", "public")
    f.arrow((280, 345), served.left)
    f.note(340, 339, "is the", "middle")
    return f
