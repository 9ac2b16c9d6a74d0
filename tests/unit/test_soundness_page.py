"""The worked sum of docs/soundness.md is what a golden receipt gives."""

from __future__ import annotations

import math
import re
from dataclasses import asdict
from pathlib import Path

from segment import Segment

from zktally.verifier import stark
from zktally.verifier.confidence import HASH_BITS, headline

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "soundness.md").read_text(encoding="utf-8")
SUM = TEXT.split("**A worked sum.**")[1].split("\n## ")[0]
NAMES = {"out_of_domain": "out of domain", "logup": "LogUp", "hashes": "hashes of the proof"}


def test_the_worked_sum():
    [name] = re.findall(r"`(tests/vectors/[\w-]+\.receipt)`", SUM)
    of = Segment.of((ROOT / name).read_bytes())
    journal, parameters, counts = of.journal, of.parameters, of.counts
    terms = stark.proven(parameters, counts)
    bits = {NAMES.get(name, name): value for name, value in asdict(terms).items()}
    bits["sum: the proven bits of the segment"] = terms.proven_bits
    bits["samples"], bits["hashes of the trees"] = journal.bits, HASH_BITS
    errors = (2.0 ** -bits[name] for name in list(bits)[-3:])
    bits["sum of all"] = -math.log2(math.fsum(errors))
    rows = re.findall(r"^\| ([^|]+) \| −([\d.]+) \|$", SUM, re.MULTILINE)
    assert rows == [(name, f"{value:.2f}") for name, value in bits.items()]
    assert headline(journal.bits, terms.proven_bits, 1) == math.floor(bits["sum of all"]) == 101
    warranted = headline(journal.bits, stark.params.target(1, journal.bits), 1)
    assert f": {warranted} bits. A test" in " ".join(SUM.split())
    size = (
        f"λ = {journal.bits}, one segment, standard profile, {parameters.queries} queries, whose "
        f"tallest table has 2^{counts.log_rows} rows. Its size: {counts.openings - 1} openings, "
        f"{counts.constraints} constraints, {counts.lookups:,} lookups, {counts.public_terms} "
        f"public terms, longest tuple {counts.longest_tuple}. The best `m` is 100."
    )
    assert size in " ".join(SUM.split())
    at_100 = stark.params._terms(100, parameters, counts)
    assert at_100 == terms
