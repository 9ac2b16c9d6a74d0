"""What a SNARK around an outer proof would take: the verifier's operations, counted one by one.

`python -m zktally.bench.wrap.count`; docs/adr/0046-no-wrap-yet.md has what follows from it.

Operations have the names of costs.json, which the prototype writes: constraints by style. Two more
are one constraint in each: a bit, and the choice of one of two numbers.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from .hashes import HASHES, Hash, Operations
from .shape import DEGREE, LAST, OUTER, Shape, planned, shape_of, today

COSTS = Path(__file__).with_name("costs.json")
PROVED = Path(__file__).with_name("proved.json")
POSEIDON_SECONDS = 33.5e-6
"""A permutation outside of circuits, by `wrap-prototype hash bn254`: arkworks, one thread."""

STYLES = ("bits", "lookups", "rows")


def verifier(shape: Shape, function: Hash) -> dict[str, Operations]:
    """All operations of the verifier of such a proof, part by part."""
    return {
        "transcript": transcript(shape, function),
        "trees": trees(shape, function),
        "constraints": constraints(shape),
        "batching": batching(shape),
        "folding": folding(shape),
    }


def transcript(shape: Shape, function: Hash) -> Operations:
    """docs/stark.md section 3; opened values and coefficients are shown to be words."""
    sent = DEGREE * shape.openings
    final = DEGREE << shape.log_final
    terminals = DEGREE * len(shape.tables)
    total = Counter(word=sent + final + terminals)
    # Context, parameters, statement; roots, terminals, opened values, final polynomial.
    for words in (8, 3, 12, 8, 8 + terminals, 8, sent, final):
        total += function.absorb(words)
    for _ in range(5):
        total += function.element()
    total += _times(function.pow(), 2)
    total += _times(function.absorb(8) + function.pow() + function.element(), len(shape.rounds))
    total += function.indices(shape.queries)
    if not shape.fixed:
        # The values of the public columns at ζ, as one digest that is public.
        values = DEGREE * sum(table.publics for table in shape.tables)
        total += function.absorb(values) + Counter(word=values)
    return total


def trees(shape: Shape, function: Hash) -> Operations:
    """Rows and paths; every query has a path of its own up to the cap, which is hashed once."""
    total: Operations = Counter()
    committed = [
        ({height + shape.log_blowup: words for height, words in tree.items()}, True)
        for tree in shape.trees
    ]
    committed += [({each.log_rows: DEGREE << each.log_arity}, False) for each in shape.rounds]
    for widths, salted in committed:
        path: Operations = Counter()
        for level in range(max(widths), shape.cap - 1, -1):
            if level < max(widths):
                path += function.node(level in widths) + function.digest()
                path["choice"] += function.numbers
            if level in widths:
                path += function.row(widths[level], salted)
        inner = (1 << shape.cap) - 1
        path["choice"] += inner * function.numbers
        total += _times(path, shape.queries)
        total += _times(function.node(False), inner) + _times(function.digest(), inner + 1)
    return total


def constraints(shape: Shape) -> Operations:
    """docs/stark.md sections 2 and 5: all constraints at ζ against the quotients."""
    total: Operations = Counter()
    for table in shape.tables:
        count = table.constraints + table.groups + 3
        # Denominators: their sums are reduced once. Fractions of a group; the three of acc.
        total["element_product_lazy"] += table.items + count
        total["element_product"] += table.products + 4 * table.lookups + table.groups + 3
        # The powers of γ.
        total["element_product"] += count
    for height in shape.heights:
        # ζ^(2^k), ζ^(2^k − h), Z, its hiding rows, First and Last, the chunks.
        total["element_product"] += 3 * height + shape.hiding + 12
    # ζ lies in no domain.
    total["element_product"] += 24
    return total


def batching(shape: Shape) -> Operations:
    """docs/stark.md section 5: G of each height at the queries."""
    # Powers of η, and the opened values under them.
    total = Counter(element_product=shape.openings + 1, element_product_lazy=shape.openings)
    query: Operations = Counter(bit=shape.log_domain)
    # X and 1/X of the tallest domain from the bits of the index; then their squares.
    squares = shape.log_domain - shape.log_blowup - shape.log_final
    query["word_product"] += shape.log_domain + 1 + 2 * squares
    for height in shape.heights:
        here = sum(tree[height] for tree in shape.trees)
        # Of the columns one row on: those that are read so, and acc.
        ahead = sum(t.ahead + DEGREE for t in shape.tables if t.log_rows == height)
        query += Counter(dot_word=here + ahead, dot_end=2, element_product=2)
    return total + _times(query, shape.queries)


def folding(shape: Shape) -> Operations:
    """docs/stark.md section 6: the rounds of all queries, and the final polynomial."""
    query: Operations = Counter()
    joins = {height + shape.log_blowup for height in shape.heights[1:]}
    for each in shape.rounds:
        others = (1 << each.log_arity) - 1
        # The element of the row that was folded before; β/X and its squares; the folds.
        query += Counter(choice=DEGREE * others, word_equal=DEGREE)
        query += Counter(element_product=each.log_arity, fold_pair=others)
        query["element_product"] += each.log_rows in joins
    terms = 1 << shape.log_final
    query += Counter(word_product=terms - 2, dot_word=terms, dot_end=1, word_equal=DEGREE)
    powers = Counter(element_product=shape.log_folding * len(shape.rounds))
    return _times(query, shape.queries) + powers


def read_costs(path: Path = COSTS) -> dict[str, dict[str, float]]:
    """Constraints of each operation by style."""
    measured = {
        name: {style: float(cost["constraints"]) for style, cost in styles.items()}
        for name, styles in json.loads(path.read_text()).items()
    }
    wide, narrow, fold = (measured.pop(name) for name in ("dot_256", "dot_128", "fold_8"))
    slope = {style: (wide[style] - narrow[style]) / 128 for style in STYLES}
    return measured | {
        "dot_word": slope,
        "dot_end": {style: wide[style] - 256 * slope[style] for style in STYLES},
        "fold_pair": {style: fold[style] / 7 for style in STYLES},
        "bit": dict.fromkeys(STYLES, 1.0),
        "choice": dict.fromkeys(STYLES, 1.0),
    }


def constraints_of(
    operations: Operations, costs: Mapping[str, Mapping[str, float]], style: str
) -> int:
    """What they take together; tables of lookups not counted."""
    return round(sum(count * costs[name][style] for name, count in operations.items()))


def prover_permutations(shape: Shape) -> int:
    """Poseidon permutations of the outer prover's trees, were they of that hash."""
    function, total = HASHES["Poseidon, BN254"], 0
    committed = [(tree, True, shape.log_blowup) for tree in shape.trees[:3]]
    committed += [({e.log_rows: DEGREE << e.log_arity}, False, 0) for e in shape.rounds]
    for widths, salted, more in committed:
        for height, words in widths.items():
            total += function.row(words, salted)["poseidon"] << (height + more)
            total += 1 << (height + more)
        total += 1 << (max(widths) + more)
    return total


def _times(operations: Operations, count: int) -> Operations:
    return Counter({name: each * count for name, each in operations.items()})


def groth16(constraints: int) -> dict[str, float]:
    """Extrapolated from the largest system that was proven over BN254, in proportion.

    Of the processor in all threads: `set_up_seconds`, `prove_seconds`; `memory` and
    `proving_key` in bytes.
    """
    runs = [run for run in json.loads(PROVED.read_text()) if run["curve"] == "bn254"]
    run = max(runs, key=lambda each: each["constraints"])
    factor = constraints / run["constraints"]
    return {
        "set_up_seconds": run["set_up_seconds"][1] * factor,
        "prove_seconds": run["prove_seconds"][1] * factor,
        "memory": max(run["peak_kib"]) * 1024 * factor,
        "proving_key": run["proving_key_bytes"] * factor,
    }


def report(shape: Shape) -> str:
    """The tables of the decision, in Markdown."""
    costs = read_costs()
    parts = {name: verifier(shape, function) for name, function in HASHES.items()}
    words = sum(sum(tree.values()) for tree in shape.trees)
    permutations = prover_permutations(shape)
    return "\n\n".join(
        [
            f"heights {shape.heights}, {words} words a row, {shape.queries} queries, "
            f"{len(shape.rounds)} rounds, {shape.proven_bits:.1f} proven bits, "
            f"{shape.proof_bytes():,} bytes with SHA-256",
            _operations(parts, costs),
            _sums(parts, costs),
            _proving(parts, costs),
            f"Trees of the outer prover by Poseidon over BN254: {permutations:,} permutations, "
            f"{permutations * POSEIDON_SECONDS:,.0f} s of the processor",
        ]
    )


Parts = Mapping[str, Mapping[str, Operations]]
Costs = Mapping[str, Mapping[str, float]]


def _operations(parts: Parts, costs: Costs) -> str:
    totals = [sum(found.values(), Counter()) for found in parts.values()]
    rows = [["operation", *parts, *STYLES]]
    for name, styles in costs.items():
        counts = [found[name] for found in totals]
        if any(counts):
            shown = (f"{styles[style]:,.1f}".removesuffix(".0") for style in STYLES)
            rows.append([name, *(f"{count:,}" for count in counts), *shown])
    return _table(rows)


def _sums(parts: Parts, costs: Costs) -> str:
    rows = [["hash, style", *next(iter(parts.values())), "sum"]]
    for name, found in parts.items():
        for style in STYLES:
            counts = [constraints_of(part, costs, style) for part in found.values()]
            rows.append([f"{name}, {style}", *(f"{each:,}" for each in (*counts, sum(counts)))])
    return _table(rows)


def _proving(parts: Parts, costs: Costs) -> str:
    rows = [["Groth16, hash", "set-up, s", "prove, s", "memory, GB", "proving key, GB"]]
    for name, found in parts.items():
        needs = groth16(constraints_of(sum(found.values(), Counter()), costs, "bits"))
        gigabytes = (f"{needs[each] / 1e9:,.1f}" for each in ("memory", "proving_key"))
        seconds = (f"{needs[each]:,.0f}" for each in ("set_up_seconds", "prove_seconds"))
        rows.append([name, *seconds, *gigabytes])
    return _table(rows)


def _table(rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def main() -> None:
    """Print what a shape takes."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--last", action="store_true", help="a last layer made for a wrap")
    which.add_argument("--table", nargs=2, action="append", metavar=("NAME", "LOG_ROWS"))
    parser.add_argument("--fixed", action="store_true", help="public columns in the key")
    for name in ("queries", "log_blowup", "log_folding", "log_final", "cap"):
        parser.add_argument("--" + name.replace("_", "-"), type=int)
    arguments = vars(parser.parse_args())
    present, last = arguments.pop("table"), arguments.pop("last")
    if present:
        shape = shape_of(today(), [(name, int(log_rows)) for name, log_rows in present])
    else:
        shape = planned(today(), LAST if last else OUTER)
    print(report(replace(shape, **{k: v for k, v in arguments.items() if v is not None})))


if __name__ == "__main__":
    main()
