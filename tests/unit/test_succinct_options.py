"""Succinct receipts without a proof: profiles, estimates, words, who folds."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from zktally import _core
from zktally.bench.models import BENCH_MODELS, calibration
from zktally.circuits.compile import compile
from zktally.cli.agreement import Cost
from zktally.display import Lines
from zktally.hybrid.training.plan import Plan
from zktally.prover import Claims, Job, ProverOptions, Work, prove_job
from zktally.prover.estimate import estimate_fold, estimate_job, estimate_stark
from zktally.prover.folding import compress, foldable_sections, judge_number
from zktally.prover.options import profile_of
from zktally.prover.progress import FOLDING
from zktally.verifier.describe import describe_receipt
from zktally.verifier.errors import MalformedReceipt, UsageError
from zktally.verifier.hybrid import segments
from zktally.verifier.profiles import FOLDABLE, MAX_FOLDED, NAMES, SUCCINCT, claimed_profile
from zktally.verifier.receipt import Sections, split_receipt
from zktally.verifier.stark import params

VECTORS = Path(__file__).parents[1] / "vectors"
HYBRID = (VECTORS / "hybrid-average.receipt").read_bytes()


def with_profile(receipt: bytes, profile: int) -> bytes:
    """The receipt with another profile in its head."""
    data = bytearray(receipt)
    data[len(data) - len(split_receipt(receipt).proof) + 32] = profile
    return bytes(data)


def test_a_receipt_has_one_profile() -> None:
    assert [profile_of(*asked) for asked in ((0, 0), (1, 0), (0, 1), (0, 0, 1))] == [0, 1, 2, 4]
    for asked in ((1, 1), (1, 0, 1), (0, 1, 1), (1, 1, 1)):
        with pytest.raises(UsageError, match="one profile"):
            profile_of(*map(bool, asked))
    with pytest.raises(UsageError, match="small and succinct"):
        ProverOptions(small=True, succinct=True)
    assert ProverOptions(succinct=True).profile == SUCCINCT


def test_the_segments_of_a_succinct_receipt_are_foldable() -> None:
    found = [Job(b"", b"", b"", profile).segment_profile for profile in NAMES]
    assert found == [0, 1, 2, FOLDABLE]
    job = Job(b"program", b"statement", b"openings", SUCCINCT)
    assert Job.from_bytes(job.to_bytes()) == job


def test_a_receipt_names_its_profile() -> None:
    for profile in range(6):
        proof = split_receipt(with_profile(HYBRID, profile)).proof
        if profile in NAMES:
            assert claimed_profile(proof) == profile
        else:
            with pytest.raises(MalformedReceipt, match="unknown profile"):
                claimed_profile(proof)
    with pytest.raises(MalformedReceipt):
        claimed_profile(bytes(32))


def test_verifiers_know_the_same_profiles() -> None:
    """The names stand apart: whoever reads a head need not wait for the STARK's verifier."""
    of_proofs = {n: name for n, name in NAMES.items() if n != SUCCINCT}
    assert {n: params.PROFILE_NAMES[n] for n in params.PROFILES if n != params.OUTER} == of_proofs
    assert params.FOLDABLE == FOLDABLE
    assert SUCCINCT not in params.PROFILES
    assert segments.SUCCINCT.most == MAX_FOLDED


def test_what_can_be_folded_is_told_by_the_head() -> None:
    sections = foldable_sections(with_profile(HYBRID, FOLDABLE))
    assert sections.journal == split_receipt(HYBRID).journal
    for data, received in (
        (with_profile(HYBRID, 0), "a standard one"),
        (with_profile(HYBRID, 1), "a small one"),
        ((VECTORS / "average.receipt").read_bytes(), "a fast one"),
    ):
        with pytest.raises(UsageError) as refused:
            foldable_sections(data)
        assert refused.value.received == received
        assert "--foldable" in str(refused.value.hint)
    with pytest.raises(UsageError) as refused:
        foldable_sections(with_profile(HYBRID, SUCCINCT))
    assert "already" in str(refused.value.hint)


def test_more_segments_are_refused_before_they_are_proven(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    judge_number(64)
    monkeypatch.setattr(_core, "hybrid_segments", lambda *_: 65)
    parts = split_receipt(HYBRID)
    job = Job(bytes(parts.program), bytes(parts.journal), b"openings", SUCCINCT)
    work = Work.create(tmp_path / "work")
    with pytest.raises(UsageError, match="too many segments"):
        prove_job(job, work)
    assert list(work.folder.iterdir()) == []
    with pytest.raises(UsageError, match="too many segments"):
        compress(with_profile(HYBRID, FOLDABLE))


def test_inspection_counts_what_the_statement_asks_for() -> None:
    def counted(parts: Sections, *_: object) -> int:
        return 6

    shown, text = describe_receipt(with_profile(HYBRID, SUCCINCT), counted)
    assert shown["stark"] == {"profile": "succinct", "segments": 6}
    assert "one proof that the proofs of 6 segments verify (succinct profile)" in text


def test_a_run_has_one_succinct_receipt() -> None:
    assert Plan(succinct=True).parts()
    for more in ({"receipt_every": 300}, {"strict_steps": "10:12"}):
        with pytest.raises(UsageError, match="fewer than 100 bits"):
            Plan(succinct=True, **more)
    for other in ({"small": True}, {"foldable": True}, {"mode": "fast"}):
        with pytest.raises(UsageError):
            Plan(succinct=True, **other)


# Estimates.


def test_folding_grows_with_segments_and_its_receipt_hardly() -> None:
    found = [estimate_fold(count, 1000) for count in (1, 2, 3, 6, 16, 64)]
    assert [each.proofs for each in found] == [2, 2, 4, 5, 12, 44]
    seconds = [each.seconds for each in found]
    assert seconds == sorted(seconds)
    assert found[-1].proof_bytes - found[0].proof_bytes < 10_000
    assert estimate_fold(1).proof_bytes == found[0].proof_bytes - 1000


def test_the_estimate_of_a_succinct_receipt_is_that_of_both_parts() -> None:
    network = BENCH_MODELS["mlp"]()
    checked = compile(network, calibration(network, 4, 0), public=True, evaluate=1).checked
    counts = Claims("hybrid").counts(checked, 1)
    foldable, succinct = (estimate_stark(counts, profile) for profile in (FOLDABLE, SUCCINCT))
    assert foldable.folding is None
    assert succinct.folding is not None
    assert succinct.seconds == pytest.approx(foldable.seconds + succinct.folding.seconds)
    assert succinct.segment_seconds == pytest.approx(foldable.segment_seconds)
    assert succinct.proof_bytes < foldable.proof_bytes
    cost = Cost.of(estimate_job(counts, SUCCINCT))
    assert "1 segment to prove and to fold: " in cost.text()
    resumed = Cost.of(estimate_job(counts, SUCCINCT), done=1)
    assert resumed.seconds == pytest.approx(succinct.folding.seconds)
    assert "2 proofs of proofs to make" in Cost.of_folding(succinct.folding).text()
    one, many = (Cost.of_folding(estimate_fold(16), each).memory_bytes for each in (1, 100))
    assert many == 8 * one, "no more processes have work than there are nodes in a layer"


# Work that is shared.


def test_one_process_folds_and_the_others_wait(tmp_path: Path) -> None:
    folded: list[int] = []

    def slowly(proofs: list[bytes]) -> bytes:
        folded.append(len(proofs))
        time.sleep(0.2)
        return b"ZKTALLY" + b"".join(proofs)

    work = Work.create(tmp_path / "work")
    work.start(Job(b"program", b"statement", b"openings", SUCCINCT))
    work.write(0, b"proof")
    receipts: list[bytes] = []
    helpers = [
        threading.Thread(target=lambda: receipts.append(Work(work.folder).finish(slowly, 1)))
        for _ in range(3)
    ]
    for helper in helpers:
        helper.start()
    for helper in helpers:
        helper.join()
    assert receipts == [b"ZKTALLYproof"] * 3
    assert folded == [1]
    assert work.receipt() == b"ZKTALLYproof"
    assert [path.name for path in work.folder.iterdir()] == ["receipt"]


def test_folding_is_shown_while_it_lasts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [1000.0]
    monkeypatch.setattr("zktally.display.time.monotonic", lambda: now[0])
    shown = Lines()
    shown("prove segments", 0, 1)
    now[0] += 100.0
    shown("prove segments", 1, 1)
    shown(FOLDING, 0, 2)
    shown.expect(20.0)
    for _ in range(12):
        now[0] += 1.0
        shown.tick()
    now[0] += 8.0
    shown(FOLDING, 1, 2)
    shown(FOLDING, 2, 2)
    *_, begun, half, one, done = capsys.readouterr().err.splitlines()
    assert begun.startswith("fold proofs: 0/2")
    assert half.startswith("fold proofs: 0/2, about 55 % of the next, about 29 s left")
    assert one == "fold proofs: 1/2, about 20 s left"
    assert done == "fold proofs: 2/2"
