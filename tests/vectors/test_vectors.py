"""The golden receipts: both verifiers judge them as recorded; made again, they are the same."""

from __future__ import annotations

import json

import make
import pytest

from zktally.native import verify as verify_natively
from zktally.prover import prove_job
from zktally.verifier.errors import ZktallyError
from zktally.verifier.judge import verify as verify_plainly

LISTED = json.loads((make.FOLDER / "vectors.json").read_text())


@pytest.mark.parametrize("verify", [verify_natively, verify_plainly], ids=["rust", "python"])
@pytest.mark.parametrize("vector", LISTED["vectors"], ids=lambda vector: vector["name"])
def test_judged_as_recorded(vector, verify):
    receipt = (make.FOLDER / vector["receipt"]).read_bytes()
    expectations = make.expectations(vector["expect"])
    if vector["verdict"] != make.ACCEPTED:
        with pytest.raises(ZktallyError) as refused:
            verify(receipt, expectations)
        assert refused.value.code == vector["verdict"]
        return
    facts, outputs = verify(receipt, expectations)
    assert make.recorded(facts) == vector["facts"]
    assert {port: values.tolist() for port, values in outputs.items()} == vector["outputs"]


@pytest.mark.parametrize("vector", LISTED["showings"], ids=lambda vector: vector["name"])
def test_shown_as_recorded(vector):
    """Of receipts that both verifiers accept, as `test_judged_as_recorded` shows."""
    receipt, data = ((make.FOLDER / vector[kind]).read_bytes() for kind in ("receipt", "showing"))
    if vector["verdict"] != make.ACCEPTED:
        with pytest.raises(ZktallyError) as refused:
            make.judged_showing(receipt, data)
        assert refused.value.code == vector["verdict"]
        return
    assert make.judged_showing(receipt, data) == (vector["steps"], vector["outputs"])


def test_making_them_again_gives_the_same_bytes():
    """A difference means that format, protocol or prover has changed: that needs a new version."""
    made = make.build()
    files = (path for kind in ("receipt", "shown") for path in make.FOLDER.glob(f"*.{kind}"))
    kept = {path.name: path.read_bytes() for path in files}
    kept["vectors.json"] = (make.FOLDER / "vectors.json").read_bytes()
    assert made.keys() == kept.keys()
    for name in made:
        assert made[name] == kept[name], name


@pytest.mark.parametrize("name", make.PROVEN)
def test_making_a_proven_one_again_gives_the_same_but_for_its_proofs(name):
    """They are random; whatever they are, the verdict is the recorded one."""
    _, _, job = make.hybrid_job(name)
    kept = (make.FOLDER / f"{name}.receipt").read_bytes()
    again = prove_job(job)
    for receipt in (kept, again):
        assert make.before_the_proofs(receipt, job)
    assert again != kept
    vector = next(vector for vector in LISTED["vectors"] if vector["name"] == name)
    for verify in (verify_natively, verify_plainly):
        facts, outputs = verify(again, make.expectations(vector["expect"]))
        assert make.recorded(facts) == {**vector["facts"], "receipt_bytes": len(again)}
        assert {port: values.tolist() for port, values in outputs.items()} == vector["outputs"]


def test_they_are_small():
    sizes = {path.name: path.stat().st_size for path in make.FOLDER.iterdir() if path.is_file()}
    proofs = [name for name, size in sizes.items() if size > 100_000]
    assert len(proofs) <= 8
    assert sum(sizes.pop(name) for name in proofs) < 3_500_000
    assert sum(sizes.values()) < 320_000
