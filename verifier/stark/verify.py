"""The verifier of one proof: docs/stark.md line by line, numbered like section 3.

In parentheses: the term of section 8 that pays for a challenge or a check.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..reader import RECEIPT_CODES, P, Reader
from . import fri
from .batching import combine
from .constraints import Challenges, check_constraints
from .field import ONE, SHIFT, TWO_ADICITY, ZERO, Ints, K
from .judge import demand
from .logup import public_sum
from .params import Parameters
from .proof import Head, Openings, read_head, read_openings, split_opened, to_bytes
from .statement import PresentTable, PublicTerms, Statement
from .tables import TablesFile
from .transcript import begin


@dataclass(frozen=True)
class _Drawn:
    """All challenges of a proof."""

    air: Challenges
    eta: K
    betas: list[K]
    indices: Ints


def verify_stark(
    data: memoryview,
    *,
    context: bytes,
    tables: TablesFile,
    present: Sequence[PresentTable],
    public_terms: PublicTerms,
    parameters: Parameters,
) -> int:
    """Judge the proof at the start of `data`; what follows it is the caller's to judge.

    Args:
        data: the proof and whatever comes after it.
        context: 32 bytes that the proof is bound to.
        tables: the tables file.
        present: the tables of this proof with their public columns, ascending.
        public_terms: of the LogUp sum.
        parameters: see `parameters_for`; they are the caller's, never the proof's.

    Returns:
        The length of the proof in bytes.

    Raises:
        MalformedReceipt: `receipt.truncated`, `receipt.non-canonical`.
        InvalidProof: `verify.stark`; the message says which check.
        InsufficientSecurity: `security.insufficient`, too few rows for the hiding ones.
        UnsupportedReceipt: `verify.too-large`, a table is too tall for the field.
        ValueError: what the caller gives is not a statement.
    """
    statement = Statement(tables, present, parameters)
    statement.judge_terms(public_terms)
    profile = parameters.profile
    domains = [log_rows + profile.log_blowup for log_rows in statement.log_heights]
    final = profile.log_blowup + profile.log_final
    rounds = fri.plan_rounds(domains, profile.log_folding, final)

    reader = Reader(data, RECEIPT_CODES)
    head = read_head(reader, statement, rounds)
    drawn = _draw(statement, context, head)
    air = drawn.air

    # What is taken from a bus is given to it, the public terms among them (LogUp).
    sums = public_sum(public_terms, (air.alpha, air.beta))
    demand(sum(head.terminals, sums) == ZERO, "the sum of the terminals and the public terms")
    # Constraints, fractions and running sums hold on every active row (constraints, out of domain).
    opened, chunks = split_opened(statement, head.opened)
    check_constraints(statement, air, head.terminals, opened, chunks)

    # Opened rows are those that were committed to before the challenges (hashes).
    openings = read_openings(reader, statement, rounds, drawn.indices)
    _check_roots(head, openings)
    # The words of which these are rows are near polynomials that have the opened values at ζ
    # (batching), through all rounds (folding), wherever the queries look (query).
    combined = combine(statement, air.zeta, drawn.eta, head.opened, openings, drawn.indices)
    fri.check_queries(rounds, openings.rounds, drawn.betas, combined, head.final, drawn.indices)
    return reader.position


def _draw(statement: Statement, context: bytes, head: Head) -> _Drawn:
    """Replay the transcript.

    Raises:
        InvalidProof: `verify.stark`, a proof of work, or ζ lies in a domain.
    """
    profile = statement.parameters.profile
    # 0 to 2: a proof of another statement has other challenges (hashes).
    known = (context, statement.parameters.encode(), statement.encode())
    transcript = begin(profile.hashing, *known)
    # 3: α and β tell tuples apart, once all main columns are fixed (LogUp).
    transcript.absorb(4, head.main_root)
    alpha, beta = transcript.element(), transcript.element()
    # 4, 5: γ makes one of all constraints of a height, once fractions and terminals are fixed
    # (constraints).
    terminals = b"".join(terminal.to_bytes() for terminal in head.terminals)
    transcript.absorb(5, head.aux_root + terminals)
    gamma = transcript.element()
    # 6: ζ is where identities of polynomials are tried, once the quotient is fixed (out of domain).
    transcript.absorb(6, head.quotient_root)
    zeta = transcript.element()
    judge_point(zeta)
    # 7, 8: η makes one word a height of all columns, once the values at ζ are fixed; work makes
    # tries at it dear (batching).
    transcript.absorb(7, to_bytes(head.opened))
    transcript.pow(profile.batch_bits, head.batch_nonce)
    eta = transcript.element()
    # 9: each β folds a word that is fixed by its root; work likewise (folding).
    betas = []
    for root, nonce in head.rounds:
        transcript.absorb(8, root)
        transcript.pow(profile.commit_bits, nonce)
        betas.append(transcript.element())
    # 10: the queries come when there is nothing left to choose; work likewise (query).
    transcript.absorb(9, to_bytes(head.final))
    transcript.pow(profile.query_bits, head.query_nonce)
    indices = transcript.indices(statement.parameters.queries, 1 << statement.log_domain)
    return _Drawn(Challenges(alpha, beta, gamma, zeta), eta, betas, indices)


def judge_point(zeta: K) -> None:
    """ζ lies neither in the rows' domains nor in the codewords': Z or x − ζ would vanish there."""
    power = zeta ** (1 << TWO_ADICITY)
    shifted = K.of(pow(SHIFT, 1 << TWO_ADICITY, P))
    demand(power not in (ONE, shifted), "the point of the openings lies in a domain")


def _check_roots(head: Head, openings: Openings) -> None:
    demand(openings.main.root() == head.main_root, "the main root")
    demand(openings.aux.root() == head.aux_root, "the auxiliary root")
    demand(openings.quotient.root() == head.quotient_root, "the quotient root")
    for number, (opening, (root, _)) in enumerate(zip(openings.rounds, head.rounds, strict=True)):
        demand(opening.root() == root, f"the root of round {number} of the folding")
