"""Prove the segments of a job: openings as of a fast receipt, not shown but proven in STARKs.

A job holds all that the proof follows from. Proven in a `Work` folder it can be interrupted, and
shared by several processes; the masks of every segment are fresh whoever proves it, and when.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from .. import _core
from ..verifier.errors import UsageError
from ..verifier.journal import FAST, HYBRID, MODES, Journal
from ..verifier.profiles import SUCCINCT
from ..verifier.program.checked import load
from ..verifier.receipt import split_receipt
from ..verifier.sampling import Counts
from .estimate import estimate_stark
from .folding import Folding, fold, judge_number
from .options import DEFAULTS, ProverOptions
from .progress import SEGMENTS as PHASE
from .progress import Paced
from .receipt import encode_receipt
from .work import Job, Work
from .workers import Fleet, prove_shares
from .workers.options import cores

POLL_SECONDS = 0.5
"""Between two looks at segments that other processes are proving."""


def wrapping_job(receipt: bytes, profile: int) -> Job:
    """The job that turns a fast receipt into a hybrid one; the receipt is not judged here.

    Raises:
        MalformedReceipt, UnsupportedReceipt: the bytes are not a receipt.
        UsageError: it is not a fast one.
    """
    sections = split_receipt(receipt)
    journal = Journal.decode(sections.journal)
    if journal.mode != FAST:
        received = MODES[journal.mode]
        raise UsageError("only a fast receipt can be wrapped", expected="fast", received=received)
    statement = replace(journal, mode=HYBRID).encode()
    return Job(bytes(sections.program), statement, bytes(sections.proof), profile)


def prove_job(
    job: Job,
    work: Work | None = None,
    model: _core.Model | None = None,
    options: ProverOptions = DEFAULTS,
) -> bytes:
    """Prove all segments.

    Args:
        job: what to prove.
        work: an empty folder to prove in, so that others can help and `prove_in` can go on with it;
            None to do it all here and now, in memory.
        model: the committed model of the job's program, where there is one: saves reading it again.
        options: their progress is called after each segment; their workers prove, if there are any.

    Returns:
        The bytes of the receipt.

    Raises:
        UsageError: a succinct receipt would have too many segments.
    """
    if job.profile == SUCCINCT:  # before anything is kept that could never be finished
        judge_number(_core.hybrid_segments(job.program, job.journal))
    if work is not None:
        work.start(job)
        return prove_in(work, model, options)
    prover, progress = _prover(job, model), options.progress
    _tell_pace(options, job)
    proofs: dict[int, bytes] = {}

    def done(_segment: int | None = None) -> None:
        progress(PHASE, len(proofs), prover.segments)

    done()
    if (fleet := options.workers.fleet(job.task)) is not None:
        prove_shares(prover, range(prover.segments), fleet, proofs.__setitem__, done)
    else:
        for segment in range(prover.segments):
            proofs[segment] = prover.prove_segment(segment)[0]
            done()
    whole = [proofs[segment] for segment in range(prover.segments)]
    return _receipt(job, prover, whole, model, _folding(options))


def prove_in(
    work: Work, model: _core.Model | None = None, options: ProverOptions = DEFAULTS
) -> bytes:
    """Prove what the folder's job still lacks, beside whoever else is at it.

    Segments that others are proving are waited for, and taken over if they give up.

    Returns:
        The bytes of the receipt; the folder holds it too, and no secrets any more.

    Raises:
        UsageError: the folder holds no job, or it cannot be read or written.
    """
    if (finished := work.receipt()) is not None:
        return finished
    job = work.job()
    prover, progress = _prover(job, model), options.progress
    _tell_pace(options, job)

    def done(_segment: int | None = None) -> None:
        progress(PHASE, work.done(prover.segments), prover.segments)

    done()
    if (fleet := options.workers.fleet(job.task)) is not None:
        _prove_by(fleet, prover, work, done)
    else:
        for wait in (False, True):
            for segment in range(prover.segments):
                with work.claim(segment, wait=wait) as mine:
                    if mine:
                        work.write(segment, prover.prove_segment(segment)[0])
                        done()
    progress(PHASE, prover.segments, prover.segments)
    how = _folding(options, work)
    return work.finish(lambda proofs: _receipt(job, prover, proofs, model, how), prover.segments)


def _prove_by(
    fleet: Fleet, prover: _core.HybridProver, work: Work, done: Callable[[int], None]
) -> None:
    """Prove what a folder lacks by workers; segments that others hold are looked at again."""
    left = work.left(prover.segments)
    while left:
        prove_shares(
            prover, left, fleet, work.write, done, lambda segment: work.claim(segment, wait=False)
        )
        held = work.left(prover.segments)
        if held == left:
            time.sleep(POLL_SECONDS)
        left = held


def claims_of(job: Job) -> Counts:
    """What the statement of a job claims about its program."""
    return Counts(load(job.program), Journal.decode(job.journal))


def _tell_pace(options: ProverOptions, job: Job) -> None:
    """Tell whoever shows something between two segments how long one takes, about."""
    if isinstance(options.progress, Paced):
        whole = estimate_stark(claims_of(job), job.profile)
        at_once = options.workers.processes or 1
        seconds = whole.segment_seconds * 2 / max(1, cores())
        options.progress.expect(seconds * (1 if options.workers.ray else at_once))


def _prover(job: Job, model: _core.Model | None) -> _core.HybridProver:
    program, profile = model or job.program, job.segment_profile
    return _core.HybridProver(program, job.journal, job.openings, profile)


def _folding(options: ProverOptions, work: Work | None = None) -> Folding:
    return Folding(options.progress, workers=options.workers, kept=work)


def _receipt(
    job: Job,
    prover: _core.HybridProver,
    proofs: list[bytes],
    model: _core.Model | None,
    how: Folding,
) -> bytes:
    section = prover.head() + b"".join(proofs)
    if job.profile == SUCCINCT:
        program = model or job.program
        section = fold(program, job.journal, section, prover.segments, how)
    return encode_receipt(job.program, job.journal, section)
