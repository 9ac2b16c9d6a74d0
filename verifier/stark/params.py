"""Parameters, and the security that is proven for them (docs/stark.md section 8)."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from ..confidence import HASH_BITS, more_bits
from ..errors import InsufficientSecurity
from ..reader import P

TARGET = 101
"""Of the segments of a receipt together: λ = 102 beside it leaves more than 100 bits."""

MAX_QUERIES = 196
"""With more, the hiding rows of a table of 2^11 rows would not leave the quotient in its chunks."""

_LOG_K = 5 * math.log2(P)


class Hashing(Enum):
    """What trees and transcript hash with."""

    SHA256 = "SHA-256"
    POSEIDON2 = "Poseidon2"


@dataclass(frozen=True)
class Profile:
    """All parameters but the number of queries."""

    log_blowup: int
    batch_bits: int = 16
    commit_bits: int = 12
    query_bits: int = 20
    log_folding: int = 3
    log_final: int = 5
    hashing: Hashing = Hashing.SHA256


PROFILES: Mapping[int, Profile] = {
    0: Profile(log_blowup=2),
    1: Profile(log_blowup=3),
    2: Profile(log_blowup=3, hashing=Hashing.POSEIDON2),
    3: Profile(log_blowup=4),
}
PROFILE_NAMES = ("standard", "small", "foldable", "outer")
FOLDABLE, OUTER = 2, 3
"""A succinct receipt has no parameters of its own: it is an outer proof around foldable ones."""


@dataclass(frozen=True)
class Parameters:
    """A profile and a number of queries; `log_final` is that of the final polynomial's length."""

    profile: Profile
    queries: int

    @property
    def hiding_rows(self) -> int:
        """The last rows of every table, which are random."""
        return 2 * self.queries + 16

    def encode(self) -> bytes:
        """The bytes that the transcript absorbs."""
        p = self.profile
        return (
            bytes([p.log_blowup, p.log_folding, p.log_final])
            + self.queries.to_bytes(2, "little")
            + self.hiding_rows.to_bytes(2, "little")
            + bytes([p.batch_bits, p.commit_bits, p.query_bits])
        )


@dataclass(frozen=True)
class Counts:
    """What of a statement the security depends on.

    Attributes:
        log_rows: of the tallest table.
        openings: elements of K that are batched: the opened values and the mask.
        constraints: of all tables, those of lookups included.
        lookups: of all rows of all tables.
        public_terms: of the LogUp sum.
        longest_tuple: of all lookups and public terms.
    """

    log_rows: int
    openings: int
    constraints: int
    lookups: int
    public_terms: int
    longest_tuple: int


REFERENCE = Counts(
    log_rows=22,
    openings=4096,
    constraints=4096,
    lookups=1 << 28,
    public_terms=0,
    longest_tuple=49,
)
"""The shape that the number of queries is chosen for."""

REFERENCE_OF_NODES = Counts(
    log_rows=20,
    openings=4096,
    constraints=4096,
    lookups=1 << 26,
    public_terms=0,
    longest_tuple=10,
)
"""The same for nodes and outer proofs, whose tables are known."""


@dataclass(frozen=True)
class Terms:
    """Bits by term of the soundness error; that of batching counts all heights."""

    query: float
    batching: float
    folding: float
    constraints: float
    out_of_domain: float
    logup: float
    hashes: float

    @property
    def proven_bits(self) -> float:
        """Of all terms together: their errors are added."""
        return -math.log2(math.fsum(2.0**-bits for bits in vars(self).values()))


def proven(parameters: Parameters, counts: Counts) -> Terms:
    """The terms at the proximity parameter, 3 to 100, that gives the most bits."""
    found = (_terms(m, parameters, counts) for m in range(3, 101))
    return max(found, key=lambda terms: terms.proven_bits)


def target(segments: int, bits: int = 0) -> int:
    """Proven bits that each of so many segments must reach, for a receipt with this λ.

    A λ above the usual one asks for as many more bits here, so that the errors of several receipts
    can be added up; 0, where nothing is sampled, asks for none.
    """
    return TARGET + (segments - 1).bit_length() + more_bits(bits)


def choose(profile: int, counts: Counts, segments: int = 1, bits: int = 0) -> Parameters:
    """The parameters of a profile with the least queries that reach the target.

    Args:
        profile: one of `PROFILES`.
        counts: of the statement.
        segments: proofs that stand for one claim.
        bits: λ of that claim, 0 where nothing is sampled.

    Raises:
        InsufficientSecurity, KeyError: see `reaching`.
    """
    return reaching(profile, counts, target(segments, bits))


def reaching(profile: int, counts: Counts, least: int) -> Parameters:
    """The parameters of a profile with the least queries that reach so many bits.

    Raises:
        InsufficientSecurity: `security.insufficient`, no number of queries reaches them.
        KeyError: there is no such profile.
    """

    def reached(queries: int) -> float:
        return proven(Parameters(PROFILES[profile], queries), counts).proven_bits

    def suffices(queries: int) -> bool:
        return reached(queries) >= least

    # Only the query term depends on the queries, and grows with them: halving finds the least.
    queries = bisect_left(range(1, MAX_QUERIES + 1), True, key=suffices) + 1
    if queries <= MAX_QUERIES:
        return Parameters(PROFILES[profile], queries)
    raise InsufficientSecurity(
        "the proof system reaches too few proven bits at this size",
        code="security.insufficient",
        expected=f"at least {least} bits",
        received=f"{reached(MAX_QUERIES):.1f} bits",
    )


def _terms(m: int, parameters: Parameters, counts: Counts) -> Terms:
    """The terms at one proximity parameter (ePrint 2025/2055, theorems 1.5 and 4.6)."""
    profile = parameters.profile
    rho = 2.0**-profile.log_blowup
    alpha = (1 + 1 / (2 * m)) * math.sqrt(rho)
    near = m + 0.5
    domain = 2.0 ** (counts.log_rows + profile.log_blowup)
    large = (2 * near**5 + 3 * near * (1 - alpha) * rho) / (3 * rho**1.5) * domain
    exceptions = large + near / math.sqrt(rho)
    lists = _list_size(alpha, rho, counts.log_rows)
    zeros = 5 * 2.0**counts.log_rows + 2 * counts.openings
    sums = (counts.lookups + counts.public_terms) * (counts.longest_tuple + 1)
    return Terms(
        query=-parameters.queries * math.log2(alpha) + profile.query_bits,
        batching=_bits(2 * exceptions * counts.openings) + profile.batch_bits,
        folding=_bits(exceptions * 2**profile.log_folding) + profile.commit_bits,
        constraints=_bits(lists * counts.constraints),
        out_of_domain=_bits(lists**2 * zeros),
        logup=_bits(lists * sums),
        hashes=float(HASH_BITS),
    )


def _list_size(alpha: float, rho: float, log_rows: int) -> float:
    """How many tuples of columns agree with the committed ones in a share α of all positions.

    An opening is a quotient by x − z, so what is bound is a column of degree 2^k, not below it: one
    more than the rate ρ allows. The bound of Guruswami and Sudan has an integer for multiplicity.
    """
    root = math.sqrt(rho * (1 + 2.0**-log_rows))
    return (math.ceil(1 / (2 * (alpha / root - 1))) + 0.5) / root


def _bits(bad: float) -> float:
    """`−log2(bad / |K|)`."""
    return _LOG_K - math.log2(bad)
