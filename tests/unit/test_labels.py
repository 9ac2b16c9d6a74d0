"""Labels: one rule for prover and verifier. And the JSON of what crosses to the core."""

from __future__ import annotations

import json
from dataclasses import fields

import pytest

from support.receipts import Prover
from zktally import _core
from zktally._core import testing
from zktally.prover import Claims
from zktally.verifier.errors import UsageError
from zktally.verifier.facts import Facts
from zktally.verifier.journal import Journal
from zktally.verifier.judge import verify
from zktally.verifier.labels import LABELS, Labels
from zktally.verifier.plain import from_json, to_json
from zktally.verifier.policy import Expectations, Policy


def test_every_label_has_a_rule_and_a_field() -> None:
    assert list(LABELS) == [field.name for field in fields(Labels)]


@pytest.mark.parametrize(
    "label",
    [
        {"audience": ""},
        {"audience": "ä" * 129},
        {"audience": "\udc80"},
        {"audience": b"me"},
        {"nonce": b""},
        {"nonce": bytes(65)},
        {"nonce": "0xz"},
    ],
    ids=str,
)
def test_prover_and_verifier_refuse_the_same_labels_in_the_same_words(label) -> None:
    said = []
    for make in (lambda: Claims("hybrid", **label), lambda: Expectations(bytes(32), **label)):
        with pytest.raises(UsageError) as refused:
            make()
        said.append(str(refused.value))
    assert said[0] == said[1]


def test_what_crosses_to_the_core_comes_back() -> None:
    prover = Prover("running_average", steps=2, audience="bänk", nonce=b"\0\xff").commit()
    expectations = Expectations.of(
        prover.journal.model_id,
        Policy(max_delta=0.5, min_bits=1, outputs_exact=False, modes=("fast",)),
        input_root=prover.journal.input_root,
        **prover.journal.labels,
    )
    facts, _ = verify(prover.receipt(), expectations)
    for kind, value in ((Journal, prover.journal), (Expectations, expectations), (Facts, facts)):
        assert from_json(kind, json.loads(json.dumps(to_json(value)))) == value


def test_the_core_takes_no_demand_for_another_and_none_for_granted() -> None:
    """A name that the core does not know, or one that is missing, never means "not demanded"."""
    prover = Prover("dense").commit()
    receipt, demands = prover.receipt(), prover.expectations().to_json()
    _core.verify(receipt, json.dumps(demands))
    spoilt = [{**demands, "more": 1}, {**demands, "policy": {**demands["policy"], "more": 1}}]
    spoilt += [{k: v for k, v in demands.items() if k != key} for key in demands]
    spoilt += [
        {**demands, "policy": {k: v for k, v in demands["policy"].items() if k != key}}
        for key in demands["policy"]
    ]
    for each in spoilt:
        with pytest.raises(UsageError):
            _core.verify(receipt, json.dumps(each))


def test_the_core_takes_no_journal_that_lacks_a_claim() -> None:
    whole = to_json(Prover("dense").commit().journal)
    testing.journal_encode(json.dumps(whole))
    for each in [{k: v for k, v in whole.items() if k != key} for key in whole] + [
        whole | {"x": 1}
    ]:
        with pytest.raises(UsageError):
            testing.journal_encode(json.dumps(each))
