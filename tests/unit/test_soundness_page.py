"""The worked sum of docs/soundness.md is what a golden receipt gives."""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import asdict
from pathlib import Path

from zktally.verifier import stark
from zktally.verifier.confidence import HASH_BITS, headline
from zktally.verifier.hybrid import verify as hybrid
from zktally.verifier.journal import Journal
from zktally.verifier.openings import Trees
from zktally.verifier.program.checked import load
from zktally.verifier.reader import RECEIPT_CODES, Reader
from zktally.verifier.receipt import split_receipt
from zktally.verifier.roots import digest_elements
from zktally.verifier.sampling import Counts, make_plan, sample_seed
from zktally.verifier.steps import claimed_outputs

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "soundness.md").read_text(encoding="utf-8")
SUM = TEXT.split("**A worked sum.**")[1].split("## What is shown")[0]
NAMES = {"out_of_domain": "out of domain", "logup": "LogUp", "hashes": "hashes of the proof"}


def the_segment():
    """Statement, parameters, size and terms of the one segment of the receipt of the page."""
    [name] = re.findall(r"`(tests/vectors/[\w-]+\.receipt)`", SUM)
    sections = split_receipt((ROOT / name).read_bytes())
    journal, checked = Journal.decode(sections.journal), load(bytes(sections.program))
    plan = make_plan(Counts(checked, journal), sample_seed(sections.journal))
    trees, reader = Trees(checked.program, journal.steps), Reader(sections.proof, RECEIPT_CODES)
    digest = hashlib.sha256(sections.journal).digest()
    head = hybrid._read_head(reader, digest, len(trees))
    outputs = claimed_outputs(checked.program, journal)
    claims = hybrid.Claims(head.roots, digest_elements(journal.prf_seed), outputs, journal.first)
    segments = hybrid._Segments(checked, plan, trees, claims, reader.remaining)
    [schedule] = segments
    parameters = stark.choose(head.profile, hybrid.REFERENCE, len(segments), journal.bits)
    present = schedule.present(parameters.hiding_rows)
    counts = stark.Statement(hybrid.tables_file(), present, parameters).counts(schedule.terms)
    return journal, parameters, counts, stark.proven(parameters, counts)


def test_the_worked_sum():
    journal, parameters, counts, terms = the_segment()
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
