"""What only a prover raises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from ..verifier.errors import Codes, UsageError, ZktallyError


class BadStateFile(ZktallyError):
    """A file of a run's state that is not what `prove` writes."""

    codes: ClassVar[Codes] = {
        "state.malformed": (
            "The file is no state of a run, is of another version, or is damaged.",
            "Get the file again; without it the run cannot go on under the same salts.",
        ),
    }


class BadOutputsFile(ZktallyError):
    """A file of held outputs that is not what `prove` writes."""

    codes: ClassVar[Codes] = {
        "outputs.malformed": (
            "The file holds no outputs of a run, is of another version, or is damaged.",
            "Get the file again; without it no step of the receipt can be shown.",
        ),
    }


class ProveError(ZktallyError):
    """A receipt cannot be made."""

    codes: ClassVar[Codes] = {
        "prove.needs-reveal": (
            "A fast receipt would open rows of weights, or records, that are private.",
            "Make a hybrid or strict receipt, which hides them; or publish them with `--reveal`.",
        ),
        "prove.too-large": (
            "A section of the receipt would be larger than any reader accepts.",
            "Prove fewer steps in a receipt, or claim a larger δ or fewer exact ops.",
        ),
        "prove.witness": (
            "The openings do not pass the checks that are to be proven, so no proof is made.",
            "Prove again from the inputs; if `wrap` says it, the fast receipt does not verify.",
        ),
        "prove.randomness": (
            "The operating system gives no randomness, without which nothing is hidden.",
            "Mend the system's source of randomness; there is no other.",
        ),
        "prove.retry": (
            "A challenge fell on a value that has no inverse: by chance, below 2^-120.",
            "Prove again.",
        ),
        "snark.unavailable": (
            "ezkl is not installed, which makes and checks proofs of this kind.",
            "Install the extra `peers`: `pip install 'zktally[peers]'`.",
        ),
        "snark.model": (
            "The ONNX file cannot be made into a circuit: it cannot be read, or does not go with "
            "the data.",
            "Check the file with `onnx.checker`, and that the data has an array for every input.",
        ),
        "snark.ezkl": (
            "ezkl failed, or was stopped at a limit; the message says in which phase and how.",
            "If it is an operator or a value that ezkl does not take, make a strict receipt "
            "instead; if it is memory, a smaller model.",
        ),
        "prove.workers-lost": (
            "Three workers in a row ended, hung, sent wrong proofs or refused, over one share.",
            "See what they said; if they were killed, there is too little memory for so many at "
            "once: fewer `--processes`. If they hung on a machine that swaps or has other work: "
            "more `--patience`. A folder (`--work`) keeps what is done.",
        ),
    }
    exit_codes: ClassVar[Mapping[str, int]] = {"prove.needs-reveal": 2, "prove.too-large": 2}
    """What another call mends."""


class ClusterError(UsageError):
    """Workers were asked for that are not to be had."""

    codes: ClassVar[Codes] = {
        "usage.no-cluster": (
            "Ray is not installed, or there is no cluster at the address, or it has no cores.",
            "`pip install 'zktally[scale]'`, and start a cluster with Ray's own `ray start`; or "
            "use `--processes`.",
        ),
    }
