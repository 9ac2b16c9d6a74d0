"""What a hybrid receipt does not show: two proofs have nothing in common but their statement.

Two witnesses of one statement do not exist: its roots bind every weight, input and activation, and
the salts. So what is compared is two proofs of one run, and the looks of proofs of different runs.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path

import forged_chains
import forged_models
import forger
import hybrids
import judges
import numpy as np
import pytest

import zktally as api
from zktally.cli import inspect
from zktally.prover import Work, prove_in, prove_job, wrapping_job
from zktally.verifier import stark
from zktally.verifier.hybrid.schedule import COLUMNS, Table
from zktally.verifier.judge import verify as verify_plainly
from zktally.verifier.pins import Pins
from zktally.verifier.policy import Expectations
from zktally.verifier.reader import P
from zktally.verifier.verified import Verified

ROOT = Path(__file__).parents[2]
PUBLIC = ("nonce",)
"""Fields of a proof that say nothing: a proof of work is a small number, and may occur twice."""


def fields(receipt: bytes, expectations: Expectations) -> dict[str, bytes]:
    """Every field of every proof of a good receipt."""
    segments = hybrids.judged_segments(receipt, expectations)
    parts = hybrids.dissect(receipt, segments)
    return {
        f"{number}: {name}": data[at : at + length]
        for number, (one, data) in enumerate(zip(segments, parts.segments, strict=True))
        for name, at, length in hybrids.fields_of(data, one)
    }


def secrets(found: dict[str, bytes]) -> dict[str, bytes]:
    return {name: data for name, data in found.items() if not any(w in name for w in PUBLIC)}


def values(found: dict[str, bytes]) -> set[bytes]:
    """All opened values, row by row element by element where they are of K; salts; hashes."""
    return set(secrets(found).values())


@cache
def two_proofs(name: str = "dense", profile: int = 1) -> tuple[dict[str, bytes], dict[str, bytes]]:
    job = wrapping_job(forger.receipt_of(name), profile)
    first, second = (fields(prove_job(job), forger.victim(name)) for _ in range(2))
    return first, second


@pytest.mark.parametrize(
    ("name", "profile"), [("dense", 1), ("average", 1), ("sampled", 1), ("dense", 2)]
)
def test_two_proofs_of_one_run_share_nothing(name, profile):
    first, second = two_proofs(name, profile)
    assert len(values(first)) > 3000
    assert values(first) & values(second) == set()


@pytest.mark.parametrize("profile", [1, 2])
def test_two_proofs_share_no_salt_even_with_themselves(profile):
    first, second = two_proofs("dense", profile)
    salts = [data for found in (first, second) for name, data in found.items() if "salt" in name]
    assert len(salts) > 400
    assert all(len(salt) == 16 for salt in salts)
    assert len(set(salts)) == len(salts)


def test_no_column_opens_the_same_word_in_both():
    """At whatever rows: chance alone would make one equal in a thousand runs of this test."""
    tables = []
    for found in two_proofs():
        rows: dict[str, list[np.ndarray]] = defaultdict(list)
        for name, data in found.items():
            if " row " in name:
                rows[name.split(".")[0]].append(np.frombuffer(data, "<u4"))
        tables.append({kind: np.stack(words) for kind, words in rows.items()})
    first, second = tables
    assert first.keys() == second.keys()
    columns = [
        (first[kind][:, column], second[kind][:, column])
        for kind in first
        for column in range(first[kind].shape[1])
    ]
    assert len(columns) > 1000
    assert sum(len(np.intersect1d(mine, theirs)) for mine, theirs in columns) <= 1


def test_two_segments_of_one_receipt_share_nothing():
    """Each has masks of its own."""
    found = secrets(fields(hybrids.long(0).receipt, hybrids.long(0).expectations))
    counts = Counter(found.values())
    assert max(counts.values()) == 1


# Other weights, other inputs: the same sizes, the same looks.


@cache
def variants() -> dict[str, tuple[bytes, Expectations]]:
    """Runs of one program under equal claims, all gates checked: equal draws."""
    runs = {
        "honest": forger.run("dense").commit(),
        "other inputs": forged_chains.another_run("dense"),
        "other weights": forged_models.other_weights("dense").commit(),
    }
    return {name: (prover.receipt(), prover.expectations()) for name, prover in runs.items()}


def columns(table: stark.PresentTable) -> np.ndarray:
    """The public columns of a table, but for the elements of records that are digests."""
    found = np.array(table.publics, np.int64)
    if table.index == Table.RECORD:
        at = COLUMNS[Table.RECORD]
        found[at["at"]] *= 1 - found[at["fixed"]]
    return found


def test_sizes_do_not_depend_on_secrets():
    """Length follows from statement and queries; the statements differ in digests and outputs."""
    judged = {}
    for name, (fast, expectations) in variants().items():
        receipt = hybrids.proven(fast, 1)
        (judged[name],) = hybrids.judged_segments(receipt, expectations)
    first, *others = judged.values()
    for other in others:
        assert other.parameters == first.parameters
        for mine, theirs in zip(first.present, other.present, strict=True):
            assert (mine.index, mine.log_rows) == (theirs.index, theirs.log_rows)
            assert np.array_equal(columns(mine), columns(theirs))
        for mine, theirs in zip(first.public_terms.groups, other.public_terms.groups, strict=True):
            assert np.array_equal(mine.tuples[:, 0], theirs.tuples[:, 0])
        assert first.statement.encode() == other.statement.encode()


def test_lengths_differ_by_the_queries_only():
    """Without the rows and siblings that queries have in common, all lengths are equal."""
    lengths = defaultdict(set)
    for fast, expectations in variants().values():
        found = fields(hybrids.proven(fast, 1), expectations)
        fixed = {name: len(data) for name, data in found.items() if "." not in name}
        lengths["head"].add(sum(n for name, n in fixed.items() if "sibling" not in name))
        for name, data in found.items():
            if " row " in name:
                lengths[name.split(".")[0]].add(len(data))
    assert len(lengths) > 5
    assert all(len(seen) == 1 for seen in lengths.values()), lengths


PROOFS = 4


@cache
def sampled_rows(name: str) -> dict[str, np.ndarray]:
    """Words by kind of row, of several proofs of a run, [rows, words]; openings at ζ as one row."""
    fast, expectations = variants()[name]
    rows: dict[str, list[np.ndarray]] = defaultdict(list)
    for _ in range(PROOFS):
        one: dict[str, list[np.ndarray]] = defaultdict(list)
        for field, data in secrets(fields(hybrids.proven(fast, 1), expectations)).items():
            words = np.frombuffer(data, "<u4")
            if " row " in field:
                rows[field.split(".")[0]].append(words)
            elif "opened" in field or "terminal" in field:
                one["opened"].append(words)
        rows["opened"].append(np.concatenate(one["opened"]))
    return {kind: np.stack(found) for kind, found in rows.items()}


@pytest.mark.parametrize("name", ["honest", "other inputs", "other weights"])
def test_what_is_opened_looks_uniform_whatever_the_witness(name):
    """Column by column the mean, and over all the distribution: masks hide what stands below."""
    for kind, words in sampled_rows(name).items():
        score = (words.mean(axis=0) / P - 0.5) * np.sqrt(12 * len(words))
        assert np.abs(score).max() < 6, (kind, int(np.abs(score).argmax()))
        bins = np.bincount((words.ravel().astype(np.uint64) * 16 // P).astype(int), minlength=16)
        expected = words.size / 16
        if kind == "opened" or " row " in kind:
            # Columns of one row depend on each other, so the limit is a wide one.
            assert ((bins - expected) ** 2 / expected).sum() < 200, (kind, bins)


# Work that is resumed.


def started(folder: Path, name: str = "dense") -> Work:
    work = Work.create(folder)
    work.start(wrapping_job(forger.receipt_of(name), 1))
    return work


def test_a_segment_that_is_proven_again_gets_other_masks(tmp_path):
    """Its first proof was lost with the process, but may have been seen."""
    work = started(tmp_path / "work")
    shutil.copytree(work.folder, tmp_path / "before")
    receipts = [prove_in(work), prove_in(Work(tmp_path / "before"))]
    found = [fields(receipt, forger.victim("dense")) for receipt in receipts]
    assert values(found[0]) & values(found[1]) == set()


def test_a_killed_process_and_its_successors_share_no_masks(tmp_path):
    """Four processes prove one segment from copies of a folder; the first is killed on its way."""
    work = started(tmp_path / "work")
    copies = [tmp_path / f"copy {number}" for number in range(2)]
    for copy in copies:
        shutil.copytree(work.folder, copy)
    command = [sys.executable, "-m", "zktally", "resume", "-o"]
    killed = subprocess.Popen(
        [*command, tmp_path / "killed.receipt", work.folder],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    while not list(work.folder.glob("*.lock")) and killed.poll() is None:
        pass
    killed.kill()
    killed.communicate()
    done = []
    for number, folder in enumerate([work.folder, *copies]):
        out = tmp_path / f"{number}.receipt"
        subprocess.run([*command, out, folder], check=True, capture_output=True, timeout=120)
        assert judges.rust(out.read_bytes(), forger.victim("dense")) == judges.ACCEPTED
        done.append(values(fields(out.read_bytes(), forger.victim("dense"))))
    for number, one in enumerate(done):
        for other in done[:number]:
            assert one & other == set()


def test_finished_segments_are_kept_and_the_rest_is_fresh(tmp_path):
    long = hybrids.long(0)
    work = Work.create(tmp_path / "work")
    work.start(long.job)
    work.write(0, long.parts.segments[0])
    receipt = prove_in(work)
    assert judges.both(receipt, long.expectations) == (judges.ACCEPTED, judges.ACCEPTED)
    parts = hybrids.dissect(receipt, hybrids.judged_segments(receipt, long.expectations))
    assert parts.segments[0] == long.parts.segments[0]
    mine = secrets(fields(receipt, long.expectations))
    known = secrets(fields(long.receipt, long.expectations))
    again = {data for name, data in mine.items() if name.startswith("1:")}
    assert again & set(known.values()) == set()


# What is said about it.


def leaks() -> list[str]:
    """What docs/hybrid.md section 8 lists as not hidden."""
    text = (ROOT / "docs/hybrid.md").read_text()
    section = " ".join(text[text.index("## 8.") :].split())
    listed = re.search(r"Does not hide: (.*?)\. Heights follow", section)
    assert listed is not None
    return listed[1].split("; ")


SAID = {
    "the journal": "the statement",
    "the program with its constants and tables": "the program with its constants and tables",
    "which gates were sampled": "which gates were sampled",
    "the number of segments": "the number of proofs and their sizes",
}
"""What the documents list, and the same in the words for a reader of a receipt."""


def test_the_list_of_leaks_is_that_of_the_documents():
    assert leaks() == list(SAID)
    receipt, expectations = hybrids.hybrid_of("dense"), forger.victim("dense")
    pins = Pins.of(receipt, expectations)
    verified = Verified.of(*verify_plainly(receipt, expectations), "python", pins)
    assert verified.guarantee.complete
    guarantee = " ".join(verified.guarantee.text().split())
    assert guarantee.count("not hidden are") == 1
    said = guarantee[guarantee.index("not hidden are") :]
    described = inspect.describe_receipt(receipt)[1]
    public = next(line for line in described.splitlines() if line.startswith("public "))
    for words in SAID.values():
        assert words in public
    everything = SAID | {"which gates were sampled": "that every gate was checked"}
    for words in everything.values():
        assert words in said
    assert verified.sentence().endswith(
        "zero knowledge except inputs, outputs, program, roots, shapes"
    )


def test_no_secret_stands_in_a_receipt():
    """No leaf of a weight, an input or a value, and no salt of one, opened or not."""
    prover = forger.Prover("conv", steps=2, public=False).commit()
    receipt = hybrids.proven(prover.receipt())
    shown = {port.tensor for port in prover.program.outputs}
    hidden = []
    for (_, number), tree in prover.trees.items():
        hidden += [salt.astype("<u4").tobytes() for salt in tree.salts]
        if number not in shown:
            hidden += [leaf for leaf in tree.packed if len(leaf) >= 4 and len(set(leaf)) > 2]
    assert len(hidden) > 100
    assert [secret for secret in hidden if secret in receipt] == []
    assert [secret for secret in hidden if secret in prover.receipt()] != []


def test_a_wrapped_receipt_hides_its_openings():
    fast = api.Receipt(forger.receipt_of("dense"))
    wrapped = api.wrap(fast)
    opened = forger.committed("dense")
    secret = [tree.packed[0] for name, tree in opened.trees.items() if name[0] == "weight"]
    assert all(leaf in fast.data for leaf in secret)
    assert not any(leaf in wrapped.data for leaf in secret if len(leaf) >= 4)
