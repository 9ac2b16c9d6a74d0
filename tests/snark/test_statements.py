"""What a SNARK receipt is held against; a checker that says yes to all stands in for the proof."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from zktally import Policy, Receipt, SnarkModel, prove, verify
from zktally.cli.main import main
from zktally.prover.snark import child, native, process
from zktally.verifier.cli import main as verify_main
from zktally.verifier.errors import InvalidProof, ZktallyError
from zktally.verifier.policy import Expectations
from zktally.verifier.snark import curve, judge
from zktally.verifier.snark.judge import verify_snark
from zktally.verifier.snark.key import Key, canonical
from zktally.verifier.snark.receipt import SnarkReceipt

FOLDER = Path(__file__).parent
KNOWN = json.loads((FOLDER / "known.json").read_text())
GOLDEN = {name: (FOLDER / f"{name}.receipt").read_bytes() for name in KNOWN}
READ = {name: SnarkReceipt.decode(data) for name, data in GOLDEN.items()}
INPUT = np.array([[0.25, -0.5, 0.75, 0.1]], np.float32)
SNARK = Policy(modes=("snark",))


def expected(name: str = "private", policy: Policy = SNARK, **given) -> Expectations:
    told = {"audience": "golden", "nonce": b"golden nonce", "srs": KNOWN[name]["srs"], **given}
    return Expectations.of(told.pop("model_id", KNOWN[name]["model_id"]), policy, **told)


def yes(key: Key, instances: object, proof: bytes) -> None:
    """Says yes to every proof."""


def refused(receipt: bytes, expectations: Expectations, check=yes) -> str:
    with pytest.raises(ZktallyError) as error:
        verify_snark(receipt, expectations, check)
    return error.value.code


@pytest.mark.parametrize("name", GOLDEN)
def test_the_golden_ones_are_canonical_small_and_what_they_were(name):
    assert READ[name].encode() == GOLDEN[name]
    assert len(GOLDEN[name]) < 9000
    assert READ[name].key.id.hex() == KNOWN[name]["model_id"]
    assert READ[name].key.srs.hex() == KNOWN[name]["srs"]
    assert READ[name].key.public == (name == "public")


def test_outputs_are_the_whole_numbers_by_their_scale():
    found = verify_snark(GOLDEN["private"], expected(), yes)
    (scale,) = [port.scale for port in READ["private"].key.outputs[:-1]]
    whole = np.array(found.integers["logits"])
    np.testing.assert_array_equal(found.outputs["logits"].ravel() * 2.0**scale, whole)
    assert found.inputs == {}
    told = json.loads(json.dumps(found.to_json()))
    assert told["outputs"][0]["integers"] == whole.tolist()
    assert (found.mode, found.delta, found.audience) == ("snark", 0.0, "golden")


def test_the_verdict_says_what_it_rests_on():
    private = verify_snark(GOLDEN["private"], expected(), yes).guarantee.text()
    assert "which you named" in private
    assert "inputs and activations, in zero knowledge" in private
    assert "about 100" in private
    assert "not zktally's program" in private
    assert "what the model id stands for" in private
    text = verify_snark(GOLDEN["public"], expected("public", srs=None, any_srs=True), yes)
    assert "you did NOT name" in text.guarantee.text()
    assert "convinces nobody but the prover" in text.guarantee.text()
    assert "NOT name" in text.sentence()
    assert "by the prover: the inputs" in text.guarantee.text()
    given = verify_snark(GOLDEN["public"], expected("public", inputs={"input": INPUT}), yes)
    assert "by the prover: nothing" in given.guarantee.text()


def with_key(name: str, **changes) -> SnarkReceipt:
    """The receipt with another key, about which its statement says the truth."""
    key = replace(READ[name].key, **changes)
    return replace(READ[name], key=key, statement=replace(READ[name].statement, model_id=key.id))


def other_settings() -> SnarkReceipt:
    told = json.loads(READ["private"].key.settings)
    told["run_args"]["check_mode"] = "SAFE"
    return with_key("private", settings=canonical(told), told=told)


def other_string() -> SnarkReceipt:
    circuit = READ["private"].key.circuit
    return with_key("private", circuit=replace(circuit, tau=READ["public"].key.circuit.tau))


def other_key() -> SnarkReceipt:
    circuit = READ["private"].key.circuit
    fixed = (circuit.fixed[1], circuit.fixed[0], *circuit.fixed[2:])
    return with_key("private", circuit=replace(circuit, fixed=fixed))


def stated(**changes) -> SnarkReceipt:
    return replace(READ["private"], statement=replace(READ["private"].statement, **changes))


OWN = READ["private"].key.id
FORGED = {
    "another model": (lambda: READ["public"], {}, "_judge_model", "verify.model-mismatch"),
    "another verifying key": (other_key, {}, "_judge_model", "verify.model-mismatch"),
    "other settings": (other_settings, {}, "_judge_model", "verify.model-mismatch"),
    "another string in the key": (other_string, {}, "_judge_model", "verify.model-mismatch"),
    "a key that is not the stated one": (
        lambda: replace(other_settings(), statement=READ["private"].statement),
        {},
        "_judge_model",
        "verify.program-mismatch",
    ),
    "a string that was not meant": (
        lambda: READ["private"],
        {"srs": "11" * 32},
        "_judge_string",
        "verify.srs-mismatch",
    ),
    "a string that nobody named": (
        lambda: READ["private"],
        {"srs": None},
        "_judge_string",
        "verify.srs-mismatch",
    ),
    "for another audience": (
        lambda: READ["private"],
        {"audience": "me"},
        "_judge_labels",
        "verify.audience-mismatch",
    ),
    "for an audience that was not named": (
        lambda: READ["private"],
        {"audience": None},
        "_judge_labels",
        "verify.audience-mismatch",
    ),
    "an old nonce": (
        lambda: READ["private"],
        {"nonce": b"new"},
        "_judge_labels",
        "verify.nonce-mismatch",
    ),
    "a state": (
        lambda: READ["private"],
        {"initial_state": "00" * 32},
        "_judge_digests",
        "verify.state-mismatch",
    ),
    "a data set": (
        lambda: READ["private"],
        {"dataset_root": "00" * 32},
        "_judge_digests",
        "verify.dataset-mismatch",
    ),
    "a root of inputs": (
        lambda: READ["private"],
        {"input_root": "00" * 32},
        "_judge_digests",
        "verify.input-mismatch",
    ),
    "private inputs that were meant": (
        lambda: READ["private"],
        {"inputs": INPUT},
        "_judge_inputs",
        "verify.input-mismatch",
    ),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forgery_is_refused_by_one_check_and_by_no_other(name, monkeypatch):
    forge, given, check, code = FORGED[name]
    receipt = forge().encode()
    if name == "another model":
        given = {"srs": KNOWN["public"]["srs"], **given}
    if name == "another string in the key":
        given = {"srs": None, "any_srs": True, **given}
    assert refused(receipt, expected(**given)) == code
    monkeypatch.setattr(judge, check, lambda *_: None)
    verify_snark(receipt, expected(**given), yes)


def test_inputs_that_are_not_the_published_ones_are_refused(monkeypatch):
    assert verify_snark(GOLDEN["public"], expected("public", inputs=INPUT), yes)
    other = expected("public", inputs=INPUT + np.float32(0.01))
    assert refused(GOLDEN["public"], other) == "verify.input-mismatch"
    monkeypatch.setattr(judge, "_judge_inputs", lambda *_: None)
    verify_snark(GOLDEN["public"], other, yes)


@pytest.mark.parametrize(
    "inputs",
    [
        {"x": INPUT},
        {"input": INPUT[0]},
        {"input": INPUT.astype(str)},
        {"input": np.full((1, 4), np.nan)},
        np.repeat(INPUT, 2, axis=0),
    ],
)
def test_inputs_that_are_none_of_the_models_are_a_wrong_call(inputs):
    assert refused(GOLDEN["public"], expected("public", inputs=inputs)) == "usage.input"


POLICIES = {
    "policy.mode": Policy(),
    "policy.bits": Policy(modes=("snark",), min_bits=101),
    "policy.steps": Policy(modes=("snark",), max_steps=0),
    "policy.batch": Policy(modes=("snark",), batch=(2, 4)),
    "policy.program": Policy(modes=("snark",), programs=(bytes(32),)),
    "policy.range": Policy(modes=("snark",), ranges={"input": (-1, 0.5)}),
}


@pytest.mark.parametrize("code", POLICIES)
def test_a_policy_that_asks_for_more_refuses(code, monkeypatch):
    policy = POLICIES[code]
    assert refused(GOLDEN["public"], expected("public", policy)) == code
    for check in ("_judge_policy", "_judge_ranges"):
        monkeypatch.setattr(judge, check, lambda *_: None)
    verify_snark(GOLDEN["public"], expected("public", policy), yes)


def test_ranges_hold_of_published_inputs_and_of_no_others():
    wide = Policy(modes=("snark", "strict"), ranges={"input": (-1, 1)}, batch=(1, 1), max_steps=1)
    verify_snark(GOLDEN["public"], expected("public", wide), yes)
    assert refused(GOLDEN["private"], expected("private", wide)) == "policy.range"
    unknown = Policy(modes=("snark",), ranges={"other": (-1, 1)})
    assert refused(GOLDEN["public"], expected("public", unknown)) == "policy.range"


OTHER = FOLDER.parent / "vectors"
VECTOR = next(
    each
    for each in json.loads((OTHER / "vectors.json").read_text())["vectors"]
    if each["verdict"] == "accepted"
)


@pytest.mark.parametrize("backend", ["rust", "python"])
@pytest.mark.parametrize(
    ("policy", "srs", "code"),
    [
        (SNARK, None, "policy.mode"),
        (Policy(modes=("fast", "hybrid", "strict", "snark")), "11" * 32, "verify.srs-mismatch"),
    ],
)
def test_what_is_meant_for_snarks_refuses_other_receipts(backend, policy, srs, code):
    data = (OTHER / VECTOR["receipt"]).read_bytes()
    with pytest.raises(ZktallyError) as error:
        verify(data, "00" * 32, policy, srs=srs, backend=backend)
    assert error.value.code == code


@pytest.mark.parametrize("backend", ["rust", "python"])
def test_a_policy_that_accepts_snarks_too_judges_other_receipts_as_ever(backend):
    data = (OTHER / VECTOR["receipt"]).read_bytes()
    with pytest.raises(ZktallyError) as error:
        verify(data, "00" * 32, Policy(modes=("snark", "fast", "hybrid")), backend=backend)
    assert error.value.code == "verify.model-mismatch"


def test_a_named_string_and_any_string_are_one_too_many():
    with pytest.raises(ZktallyError) as error:
        expected(any_srs=True)
    assert error.value.code == "usage"


ARGUMENTS = [
    *("--model-id", KNOWN["private"]["model_id"], "--modes", "snark"),
    *("--audience", "golden", "--nonce", "golden nonce", "--srs", KNOWN["private"]["srs"]),
]
PATH = str(FOLDER / "private.receipt")


@pytest.mark.parametrize("backend", ["rust", "python"])
def test_without_a_checker_nothing_can_be_judged(backend, monkeypatch, capsys):
    monkeypatch.setattr(process.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setitem(__import__("sys").modules, "py_ecc", None)
    assert main(["verify", PATH, *ARGUMENTS, "--backend", backend]) == 3
    said = capsys.readouterr()
    assert "snark.no-checker" in said.err
    assert said.out == ""
    if backend == "python":
        assert verify_main([PATH, *ARGUMENTS]) == 3
        assert "snark.no-checker" in capsys.readouterr().err


def test_another_release_of_ezkl_cannot_judge(monkeypatch):
    monkeypatch.setattr(native, "version", lambda: "22.0.0")
    assert refused(GOLDEN["private"], expected(), native.check) == "snark.no-checker"


@pytest.mark.parametrize(
    ("run", "code"),
    [
        (process.Run("failed", "verify: PanicException: x", refused=True), "verify.snark"),
        (process.Run("failed", "verify: ended by signal 9; "), "snark.no-checker"),
        (process.Run("time", "verify: more than the limit"), "snark.no-checker"),
    ],
)
def test_a_panic_is_a_refusal_and_an_end_is_none(run, code, monkeypatch):
    monkeypatch.setattr(native, "version", lambda: READ["private"].key.version)
    monkeypatch.setattr(native, "run", lambda *_, **__: run)
    assert refused(GOLDEN["private"], expected(), native.check) == code


def test_refusals_of_a_checker_are_the_verdict():
    def no(key: Key, instances: object, proof: bytes) -> None:
        raise InvalidProof("no", code="verify.snark")

    assert refused(GOLDEN["private"], expected(), no) == "verify.snark"


def test_inspect_shows_and_believes_nothing(capsys):
    assert main(["inspect", PATH]) == 0
    text = capsys.readouterr().out
    assert "not verified" in text
    assert KNOWN["private"]["model_id"] in text
    assert main(["inspect", PATH, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["verified"] is False
    assert told["srs"] == KNOWN["private"]["srs"]


def test_receipts_of_a_run_are_no_snarks(capsys, monkeypatch):
    monkeypatch.setattr(native, "check", yes)
    assert main(["verify", PATH, PATH, *ARGUMENTS]) == 2
    assert "no chain" in capsys.readouterr().err


def test_everything_that_is_written_of_a_verdict(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(native, "check", yes)
    whole = READ["private"].statement.outputs
    arrays, table, page = (tmp_path / name for name in ("o.npz", "o.csv", "r.html"))
    assert main(["verify", PATH, *ARGUMENTS, "--json", "--outputs", str(arrays)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["outputs"][0]["integers"] == list(whole)
    assert told["guarantee"]["bits"] == 100
    held = np.load(arrays)
    assert held["codes:logits"].ravel().tolist() == list(whole)
    assert json.loads(str(held["about"]))["srs"] == KNOWN["private"]["srs"]
    assert main(["report", PATH, *ARGUMENTS, "--outputs", str(table), "-o", str(page)]) == 0
    assert table.read_text().splitlines()[1].endswith(f"{whole[0]}")
    text = page.read_text()
    for said in ("VERIFIED", "what the model id stands for", "which you named", "py_ecc"):
        assert said in text
    assert "claims snark" in repr(Receipt(GOLDEN["private"]))
    found = verify_snark(GOLDEN["private"], expected(), yes)
    assert "what the model id stands for" in found._repr_html_()
    assert found.to_json(2)["outputs"][0]["integers"] is None


@pytest.mark.parametrize(
    ("given", "name"),
    [({"visibility": "public"}, "visibility"), ({"delta": 0.1, "exact": "all"}, "delta, exact")],
)
def test_what_a_snark_would_leave_out_is_refused(given, name):
    model = SnarkModel(FOLDER, READ["private"].key)
    with pytest.raises(ZktallyError) as error:
        prove(model, INPUT, "snark", **given)
    assert error.value.code == "usage"
    assert error.value.received == name


def test_nothing_goes_on_where_a_snark_has_ended():
    found = verify_snark(GOLDEN["private"], expected(), yes)
    with pytest.raises(ZktallyError) as error:
        verify(GOLDEN["private"], KNOWN["private"]["model_id"], SNARK, follows=found)
    assert error.value.code == "usage"
    assert "no chain" in error.value.message


@pytest.mark.parametrize("said", [None, 1, "yes", False])
def test_only_true_is_a_yes_of_ezkls(said):
    class Ezkl:
        verify = staticmethod(lambda *_: said)

    assert child._verified(Ezkl, child.FILES, {}) is False


def test_inputs_beyond_all_range_are_no_others():
    inputs = (-(2**63), *READ["public"].statement.inputs[1:])
    statement = replace(READ["public"].statement, inputs=inputs)
    receipt = replace(READ["public"], statement=statement).encode()
    huge = INPUT.copy()
    huge[0, 0] = 1e30
    assert refused(receipt, expected("public", inputs=huge)) == "usage.input"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["m.zkt", "--mode", "snark", "--input", "x.npz"], "snark-setup wrote"),
        (["m.zkt", "--mode", "snark", "--delta", "0.1"], "--delta"),
        (["m.zkt", "--mode", "snark", "--exact", "all", "--small"], "--exact, --small"),
    ],
)
def test_prove_says_what_it_takes(arguments, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["prove", *arguments, "-o", "out.receipt"]) == 2
    assert said in capsys.readouterr().err


def test_the_curve_needs_py_ecc_for_pairings_alone(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "py_ecc", None)
    assert curve.combined([(3, curve.GENERATOR), (-3, curve.GENERATOR)]) is None
    with pytest.raises(ZktallyError) as error:
        curve.balanced(None, None, READ["private"].key.circuit.tau)
    assert error.value.code == "snark.no-checker"
