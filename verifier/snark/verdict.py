"""What a verified SNARK receipt says, in words and numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..errors import UsageError
from ..labels import in_words
from ..policy import Expectations
from ..quoting import quoted
from ..verified import Verified
from .receipt import Array, SnarkReceipt, real, split

BITS = 100
"""Of BN254, by the best attack that is known (Barbulescu, Duquesne 2019). Nothing proves it."""


@dataclass(frozen=True)
class SnarkGuarantee:
    """What is promised.

    Attributes:
        model_id, srs: in hexadecimal.
        pinned_srs: whether the caller named the string.
        version: of ezkl.
        public: whether inputs are published.
        checked_inputs: whether the caller passed the inputs.
        labels: audience and nonce, in words, where there are some.
    """

    model_id: str
    srs: str
    pinned_srs: bool
    version: str
    public: bool
    checked_inputs: bool
    labels: Mapping[str, str]

    def sentence(self) -> str:
        """In one line."""
        trust = "a string that you named" if self.pinned_srs else "a string that you did NOT name"
        return f"every gate of ezkl's circuit, {BITS} bits (assumed), under {trust}"

    def lines(self) -> list[tuple[str, str]]:
        """Heading and text of each promise."""
        return [
            ("shown", self._shown()),
            ("set-up", self._string()),
            (
                "bits",
                f"about {BITS}, of the pairing curve BN254 by the best attacks known: assumed, not "
                "proven, and nothing against quantum computers",
            ),
            ("hidden", self._hidden()),
            (
                "bound",
                "statement, audience and nonce are public values of the proof: no others fit it",
            ),
            ("pinned", ", ".join(self._pinned())),
            ("chosen", f"by the prover: {', '.join(self._chosen()) or 'nothing'}"),
            ("not shown", "that ezkl's circuit computes what the float model does"),
        ]

    def text(self) -> str:
        """All of it, a line each."""
        return "\n".join(f"{head:<10} {text}" for head, text in self.lines())

    def to_json(self) -> dict[str, Any]:
        """As one JSON-ready object."""
        return {
            "model_id": self.model_id,
            "srs": self.srs,
            "srs_pinned": self.pinned_srs,
            "bits": BITS,
            "ezkl": self.version,
            "inputs_public": self.public,
            **{head.replace(" ", "_").replace("-", "_"): text for head, text in self.lines()},
        }

    def _shown(self) -> str:
        return (
            f"ezkl {self.version}'s circuit of the model, with ezkl's own rounding, gives these "
            "outputs for its inputs: every gate of one run. It is not zktally's program: its "
            "integers and its errors are not those of a .zkt file."
        )

    def _string(self) -> str:
        if self.pinned_srs:
            return (
                f"KZG under the string {self.srs[:16]}…, which you named: it holds unless somebody "
                "knows its secret (of a ceremony's: unless all who took part put theirs together)"
            )
        return (
            f"KZG under the string {self.srs[:16]}…, which you did NOT name: whoever made it may "
            "know its secret, and can then prove anything. A string that the prover made convinces "
            "nobody but the prover."
        )

    def _hidden(self) -> str:
        inputs = "published: inputs and outputs" if self.public else "published: outputs"
        hidden = "activations" if self.public else "inputs and activations"
        return (
            f"{hidden}, in zero knowledge; {inputs}. Weights: the key commits to them without "
            "blinding, so that whoever guesses them can confirm the guess"
        )

    def _pinned(self) -> list[str]:
        found = ["the model (circuit, key, settings, string, release of ezkl)"]
        found += ["the string"] if self.pinned_srs else []
        found += ["the inputs, rounded as ezkl rounds them"] if self.checked_inputs else []
        return found + [f"{name} {shown}" for name, shown in self.labels.items()]

    def _chosen(self) -> list[str]:
        return [] if self.checked_inputs else ["the inputs"]


@dataclass(frozen=True, repr=False)
class VerifiedSnark(Verified):
    """A SNARK receipt that was judged and found good; `mode` is "snark", `facts` there are none.

    Attributes:
        backend: what checked the proof: "rust" for ezkl itself, "python" for plain Python.
        outputs: what the whole numbers of the statement stand for, by name, float64 or int64.
        guarantee: what is promised, a `SnarkGuarantee`.
        receipt: what was judged.
    """

    receipt: SnarkReceipt

    @classmethod
    def judged(cls, found: SnarkReceipt, expectations: Expectations, backend: str) -> VerifiedSnark:
        """From a receipt that was judged."""
        key, statement = found.key, found.statement
        labels = {n: in_words(v) for n, v in statement.labels.items() if v is not None}
        guarantee: Any = SnarkGuarantee(
            key.id.hex(),
            key.srs.hex(),
            expectations.srs is not None,
            key.version,
            key.public,
            expectations.inputs is not None,
            labels,
        )
        nothing: Any = None
        outputs = real(key.outputs[:-1], statement.outputs)
        return cls(backend, nothing, outputs, guarantee, found)

    @property
    def integers(self) -> dict[str, list[int]]:
        """The whole numbers that outputs are, as they stand in the proof, by name."""
        return split(self.receipt.key.outputs[:-1], self.receipt.statement.outputs)

    @property
    def inputs(self) -> Mapping[str, Array]:
        """What published inputs stand for, by name; empty where they are private."""
        key = self.receipt.key
        return real(key.inputs[:-1], self.receipt.statement.inputs) if key.public else {}

    @cached_property
    def _shown(self) -> dict[str, Any]:
        statement = self.receipt.statement
        return {
            "backend": self.backend,
            "mode": "snark",
            "model_id": self.receipt.key.id.hex(),
            "srs": self.receipt.key.srs.hex(),
            "steps": 1,
            "delta": 0.0,
            "headline_bits": BITS,
            "audience": statement.audience,
            "nonce": None if statement.nonce is None else statement.nonce.hex(),
        }

    def exported_model_id(self, program_id: str | bytes) -> str:
        """A SNARK receipt exports nothing.

        Raises:
            UsageError: always.
        """
        raise UsageError("a SNARK receipt exports no weights", expected="a training receipt")

    def sentence(self) -> str:
        """The verdict in one line."""
        return f"1 run, model {self.model_id[:8]}…, snark, {self.guarantee.sentence()}"

    def to_json(self) -> dict[str, Any]:
        """Everything as one JSON-ready object."""
        integers = self.integers
        outputs = [{**each, "integers": integers[each["name"]]} for each in _listed(self.outputs)]
        return {
            **self._shown,
            "outputs": outputs,
            "inputs": _listed(self.inputs),
            "guarantee": self.guarantee.to_json(),
        }

    def __repr__(self) -> str:
        arrays = ", ".join(f"{quoted(name)} {list(a.shape)}" for name, a in self.outputs.items())
        return f"VerifiedSnark({self.sentence()}; {arrays}; {self.backend})"


def _listed(arrays: Mapping[str, Array]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "dtype": str(array.dtype),
            "shape": list(array.shape),
            "values": array.tolist(),
        }
        for name, array in arrays.items()
    ]
