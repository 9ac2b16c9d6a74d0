"""The words of a verdict, from facts: true for every program, and no name can imitate them."""

from __future__ import annotations

import json
import math
import re
from dataclasses import fields, replace
from fractions import Fraction

import numpy as np
import pytest

from support import programs
from support.receipts import Prover
from zktally.verifier.facts import Facts, OpFacts, OutputFacts, StarkFacts
from zktally.verifier.fast import verify_fast
from zktally.verifier.inputs import Saturated, saturation
from zktally.verifier.journal import FAST, HYBRID, STRICT, Journal
from zktally.verifier.pins import Pins
from zktally.verifier.program.types import Role
from zktally.verifier.quoting import LONGEST, listed, quoted, quoted_path
from zktally.verifier.verified import Guarantee, Verified, op_bound, saturation_words

ALL = ("model", "inputs", "initial_state")


def op(name: str = "conv", **changes: object) -> OpFacts:
    found = OpFacts(name, "dot", gates=80, live=80, weight=12, macs=12, draws=433, enumerated=False)
    return replace(found, **changes)


def facts(*ops: OpFacts, **changes: object) -> Facts:
    """Facts of a sampled fast receipt; changes are of them or of their statement."""
    digest = bytes(32)
    journal = Journal(
        mode=0, program_id=digest, weights_root=digest, steps=3, items=20, delta_ppm=50_000,
        delta_step_ppm=0, delta_op_ppm=0, bits=100, exact=(), chain_root=digest, input_root=digest,
        initial_state=digest, final_state=digest, dataset_root=digest, first=0,
        exported_root=digest, seed=0, start=0, prf_seed=digest, input_key=None, inputs=None,
        outputs=b"",
    )  # fmt: skip
    found = Facts(
        journal=journal, model_id=b"\xab" * 32, program_name="net", batch=8, itemised=True,
        records=0, data_slots=0,
        headline_bits=100, samples=1352, samples_per_op=338, samples_per_step=0, step_weight=960,
        step_macs=960, live_macs=960, checked_gates=240, ops=ops or (op(),),
        outputs=(OutputFacts("y", "consistent"),), inputs_public=False,
        outputs_public=True, receipt_bytes=1000,
        stark=None,
    )  # fmt: skip
    return changed(found, **changes)


def changed(found: Facts, **changes: object) -> Facts:
    of_journal = {f.name for f in fields(Journal)} - {"outputs"}
    claims = {name: changes.pop(name) for name in of_journal & changes.keys()}
    return replace(found, journal=replace(found.journal, **claims), **changes)


CHECKED = op(enumerated=True, draws=0)


def strict() -> Facts:
    certified = (OutputFacts("y", "certified"),)
    claims = {"mode": STRICT, "delta_ppm": 0, "bits": 0, "samples": 0, "headline_bits": 101}
    return facts(CHECKED, **claims, outputs=certified)


def words(given: Facts, pins: Pins = Pins()) -> tuple[str, str]:  # noqa: B008
    guarantee = Guarantee.of(given, pins)
    return guarantee.sentence(), guarantee.text()


# What is shown.


def test_a_strict_receipt_has_no_bounds():
    sentence, text = words(strict())
    assert sentence == (
        "every gate of every step was checked (101 bits), outputs certified, "
        "zero knowledge except outputs, program, roots, shapes"
    )
    assert not re.search(r"%|samples|sampled|wrong multiply|not shown|each op", text)
    assert "2^-101" in text
    guarantee = Guarantee.of(strict(), Pins())
    assert guarantee.complete
    assert (guarantee.delta, guarantee.delta_step, guarantee.delta_op) == (0, 0, 0)


@pytest.mark.parametrize(
    ("profile", "segments", "said"),
    [
        ("succinct", 6, "one proof, which shows that the proofs of all 6 segments verify;"),
        ("succinct", 1, "one proof, which shows that the proof of the one segment verifies;"),
        ("foldable", 6, None),
    ],
)
def test_a_succinct_receipt_says_what_its_proof_is_of(profile, segments, said):
    given = replace(strict(), stark=StarkFacts(profile, segments, 103.2))
    text = words(given)[1]
    assert ("succinct " in text) == (said is not None)
    assert said is None or said in text
    assert Guarantee.of(given, Pins()).to_json()["folded"] == (segments if said else 0)


@pytest.mark.parametrize("mode", [FAST, HYBRID])
def test_whatever_checks_everything_says_the_same(mode):
    given = facts(CHECKED, op("pool", enumerated=True, draws=7), mode=mode, delta_op_ppm=500_000)
    sentence, text = words(given)
    assert sentence.startswith("every gate of every step was checked (100 bits)")
    assert "%" not in text
    assert "samples" not in text
    verified = Verified.of(given, {}, "rust", Pins())
    assert (verified.delta, verified.delta_step, verified.delta_op) == (0, 0, 0)
    assert words(facts(CHECKED, op("pool"), mode=mode))[0].startswith("wrong multiply-accumulates")


def test_bounds_are_of_multiply_accumulates_items_steps_and_ops():
    assert words(facts())[0] == (
        "wrong multiply-accumulates ≤ 5 % of those of all items and what they share, "
        "no bound claimed for single ops (100 bits), outputs consistent, not certified, "
        "nothing hidden"
    )
    sentence, text = words(facts(delta_step_ppm=100_000, delta_op_ppm=500_000))
    assert sentence.startswith(
        "wrong multiply-accumulates ≤ 5 % of those of all items and what they share, ≤ 10 % of "
        "those of each step and ≤ 50 % of the gates of any single op (100 bits)"
    )
    assert "each step  wrong multiply-accumulates ≤ 10 % of those of every single step" in text
    assert "each op    at most 50 % of the gates of any single op" in text
    assert "each op    no common bound is claimed" in words(facts())[1]
    one = words(facts(items=1, steps=1, batch=1))[0]
    assert "of those of the item," in one
    padded = words(facts(items=1, steps=1, batch=8))[0]
    assert "of those of the item and what it shares," in padded


def test_without_items_the_unit_is_the_step():
    given = facts(itemised=False, batch=1, items=3)
    assert "of those of all steps" in words(given)[0]
    assert "of those of the step" in words(changed(given, steps=1, items=1))[0]
    for pins in (Pins(), Pins(prover_chosen=("steps",))):
        verified = Verified.of(given, {}, "rust", pins)
        said = verified.sentence() + verified.guarantee.text()
        assert "item" not in said
        assert said.startswith("3 steps, model abababab…")
    assert Verified.of(facts(), {}, "rust", Pins()).sentence().startswith("3 steps, 20 items, ")


def test_dead_gates_and_programs_without_dots_are_told():
    assert "wrong live multiply-accumulates" in words(facts(op(live=40)))[0]
    sentence, text = words(facts(op(live=40), delta_op_ppm=20_000))
    assert "of the live gates of any single op" in sentence
    assert "40 live of 80 a step" in text
    assert "live is what leads to an output or a state" in text
    assert "live" not in words(facts())[1]
    sentence, text = words(facts(op(kind="pick")))
    assert sentence.startswith("wrong operations ≤ 5 %")
    assert "multiply-accumulates" in text.partition("has no ")[2]


def test_no_outputs_and_mixed_outputs():
    assert "no outputs" in words(facts(outputs=()))[0]
    mixed = (OutputFacts("a", "certified"), OutputFacts("b", "sampled"))
    assert 'outputs "a" certified, "b" sampled' in words(facts(outputs=mixed))[0]


@pytest.mark.parametrize("bits", [1, 40, 100, 256])
@pytest.mark.parametrize(("gates", "live"), [(80, 80), (80, 3), (7, 7), (1, 1)])
@pytest.mark.parametrize(("steps", "batch", "items"), [(1, 1, 1), (3, 8, 17), (3, 8, 24)])
@pytest.mark.parametrize("draws", [0, 1, 69, 70, 1024, 10_000])
def test_printed_bounds_of_ops_are_sound(bits, gates, live, steps, batch, items, draws):
    """`d` draws over all gates of all slots miss a wrong fraction of the live real ones."""
    one = op(gates=gates, live=live, draws=draws)
    given = facts(one, steps=steps, batch=batch, items=items, bits=bits)
    bound = op_bound(one, given)
    printed = words(given)[1].split('"conv": ')[1].split(" (")[0]
    share = Fraction(items * live, steps * batch * gates)
    if printed == "no bound":
        assert bound == 1
        assert draws * float(share) <= bits * math.log(2) * (1 + 1e-12)
        return
    for fraction in (bound, float(printed.removeprefix("≤ ").removesuffix(" %")) / 100):
        hit = fraction * float(share)
        assert draws * math.log1p(-hit) <= -bits * math.log(2) * (1 - 1e-12)
    assert bound <= float(printed.removeprefix("≤ ").removesuffix(" %")) / 100


def test_a_bound_for_each_op_is_kept_by_its_draws():
    """The draws that protocol.md section 5 asks for show what is claimed."""
    for ppm in (10_000, 50_000, 200_000, 500_000):
        for gates, live, items in ((80, 80, 24), (1000, 7, 17), (3, 3, 17)):
            need = -(-100 * 693147181 * 24 * gates // (1000 * ppm * items * live))
            one = op(gates=gates, live=live, draws=need)
            bound = op_bound(one, facts(one, items=items))
            assert bound <= ppm / 1e6
            if need > 1:
                assert op_bound(replace(one, draws=need - 1), facts(items=items)) > ppm / 1e6 * 0.99


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"steps": 1, "items": 8}, "the chain is one step"),
        ({"steps": 3, "items": 24}, "within that of all 15 % of one step may be wrong"),
        ({"steps": 3, "items": 17}, "within that of all 85 % of one step may be wrong"),
        ({"steps": 4, "items": 32, "delta_ppm": 500_000}, "2 whole steps of 4 may be wrong"),
        ({"steps": 4, "items": 25, "delta_ppm": 200_000}, "one whole step of 4 may be wrong"),
        ({"steps": 4, "items": 25, "delta_ppm": 360_000}, "2 whole steps of 4 may be wrong"),
    ],
    ids=str,
)  # fmt: skip
def test_what_the_bound_of_all_leaves_to_a_step(changes, said):
    """The last step may hold few items, and is the cheapest to get wrong."""
    assert said in words(facts(**changes))[1]


def test_printed_shares_are_never_rounded_down():
    for ppm, printed in ((50_001, "5.01 %"), (1, "0.0001 %"), (333_333, "33.4 %")):
        assert f"≤ {printed} of those" in words(facts(delta_ppm=ppm))[0]
        assert f"at most {printed} of the gates" in words(facts(delta_op_ppm=ppm))[1]
    assert "(0.01 %)" in saturation_words(Saturated("x", 10_001, 1, -1, 1))
    assert "(100 %)" in saturation_words(Saturated("x", 10_001, 10_000, -1, 1))


# What was pinned.


def pins_of(name: str, **given: object) -> Pins:
    prover = Prover(name, steps=2, items=given.pop("items", None)).commit()
    if given.pop("values", False):
        given["inputs"] = prover.inputs
    if given.pop("root", False):
        given["input_root"] = prover.journal.input_root
    if given.pop("state", False):
        given["initial_state"] = prover.journal.initial_state
    expectations = prover.expectations(**given)
    receipt = prover.receipt()
    verified = Verified.of(
        *verify_fast(receipt, expectations), "python", Pins.of(receipt, expectations)
    )
    return verified.guarantee.pins


@pytest.mark.parametrize(
    ("name", "given", "pinned", "chosen"),
    [
        ("dense", {}, (), ("inputs", "items")),
        ("dense", {"root": True}, ("input_root",), ("items",)),
        ("dense", {"values": True, "root": True}, ("inputs", "input_root"), ()),
        ("running_average", {}, (), ("inputs", "initial_state", "steps")),
        ("running_average", {"root": True}, ("input_root",), ("initial_state",)),
        ("running_average", {"values": True, "state": True}, ("inputs", "initial_state"), ()),
        ("every_kind", {"state": True}, ("initial_state",), ("inputs", "noise_seed", "steps")),
    ],
    ids=str,
)
def test_a_verdict_lists_what_was_pinned_and_what_was_not(name, given, pinned, chosen):
    pins = pins_of(name, **given)
    assert pins.pinned == ("model", *pinned)
    assert {*pins.prover_chosen} == {*chosen}


def test_pins_stand_in_text_and_json():
    pins = Pins(("model", "inputs", "audience", "nonce"), ("noise_seed", "initial_state"))
    given = facts(audience="Zoë", nonce=b"\1\2")
    text = words(given, pins)[1]
    assert 'pinned     by you: the model, the inputs, audience "Zo\\xeb", nonce 0x0102\n' in text
    assert "chosen     by the prover: the seed of the noise, the initial state\n" in text
    assert "chosen     by the prover: nothing of what goes in" in words(facts(), Pins(ALL))[1]
    shown = json.loads(json.dumps(Verified.of(given, {}, "rust", pins).to_json()))["guarantee"]
    assert shown["pinned"] == ["model", "inputs", "audience", "nonce"]
    assert shown["prover_chosen"] == ["noise_seed", "initial_state"]
    assert shown["saturated"] == []


def test_a_program_without_inputs_has_none_in_its_verdict():
    pins = Pins(has_inputs=False, prover_chosen=("steps",))
    given = facts(mode="hybrid", input_key="00" * 32, itemised=False, batch=1, items=3)
    sentence, text = words(given, pins)
    assert "inputs" not in sentence
    assert "input" not in text
    assert "key of the inputs" in words(given)[0]


# What saturates.


def test_values_beyond_the_range_of_their_port_are_counted():
    """The pin is on integers: 1e6 instead of 1.0 is the same pin where both are clamped."""
    program = programs.dense()[0]  # x: floats, scale 0.05, zero 3, int8
    x = np.array([[0.0, 6.2, 6.22, 6.24, -6.55, -6.6], [1e6, -1e30, 1, 2, 3, 4]])
    (found,) = saturation(program, x)
    assert (found.name, found.values, found.outside) == ("x", 12, 4)
    assert (found.low, found.high) == (pytest.approx(-6.55), pytest.approx(6.2))
    clamped = np.clip(x, found.low, found.high)
    assert saturation(program, {"x": clamped})[0].outside == 0


def test_integers_never_saturate():
    program = programs.conv()[0]
    shape = program.tensors[program.of_role(Role.INPUT)[0]].shape
    assert saturation(program, np.zeros(shape, int)) == ()


def test_a_verdict_says_what_of_the_given_inputs_saturates():
    prover = Prover("dense", steps=60).commit()
    x = prover.inputs["x"].copy()
    expectations = prover.expectations(inputs=x)
    receipt = prover.receipt()

    def verified() -> Verified:
        found = verify_fast(receipt, expectations)
        return Verified.of(*found, "python", Pins.of(receipt, expectations))

    text = verified().guarantee.text()
    assert "inputs are pinned as the program reads them" in text
    assert "no value of your inputs lies outside" in text
    last = np.rint(x / 0.05) + 3 == 127
    count = int(last.sum())
    assert count > 0
    x[last] = 1e6  # other inputs, the same integers: the pin cannot tell
    text = verified().guarantee.text()
    assert f'input "x": {count} of {x.size} values' in text
    shown = verified().to_json()["guarantee"]["saturated"]
    assert [(s["name"], s["outside"], s["share"]) for s in shown] == [("x", count, count / x.size)]


def test_without_inputs_given_nothing_is_said_about_them():
    _, text = words(facts(), pins_of("dense"))
    assert "pinned as" not in text
    assert "lies outside" not in text
    _, text = words(facts(), pins_of("dense", root=True))
    assert "inputs are pinned as the program reads them" in text


# Names from outside.

EVIL = (
    'y: certified, every gate that leads to it was checked", "z',
    "a\noutput     b: certified",
    "a\r\x1b[2Joutput",
    "\u202ereversed\u2028next",
    "\\",
    'ends in a backslash\\" certified',
    "\U0001f600\ud800",
    "n" * 500,
)


@pytest.mark.parametrize("name", EVIL)
def test_a_quoted_name_stays_between_its_quotes(name):
    for shown in (quoted(name), quoted_path(name)):
        assert re.fullmatch(r'"(?:[ !#-\[\]-~]|\\["\\]|\\x[0-9a-f]{2}|\\[uU][0-9a-f]+)*"…?', shown)
    assert len(quoted(name)) <= LONGEST + 3
    assert quoted_path(name).endswith('"')


def test_quoted_names_are_told_apart():
    assert quoted("conv1") == '"conv1"'
    assert quoted("ä\n") == '"\\xe4\\x0a"'
    assert quoted("\\x0a") != quoted("\n")
    assert quoted("n" * LONGEST) == f'"{"n" * LONGEST}"'
    assert quoted("n" * LONGEST + "\n") == f'"{"n" * LONGEST}"…'
    assert listed(["a", "b, c"]) == '"a", "b, c"'
    assert listed([]) == "none"


@pytest.mark.parametrize("name", EVIL)
def test_names_do_not_imitate_lines_or_clauses(name):
    """The verdict about a hostile name has the lines of that about a plain one."""

    def said(called: str) -> list[str]:
        saturated = (Saturated(called, 10, 5, -1.0, 1.0),)
        pins = Pins(
            ("model", "inputs", "audience"), ("items",), quantised=True, saturated=saturated
        )
        outputs = (OutputFacts(called, "sampled"), OutputFacts("z", "consistent"))
        given = facts(op(called), outputs=outputs, audience=called, program_name=called)
        verified = Verified.of(given, {called: np.zeros(2)}, "rust", pins)
        lines = [*verified.guarantee.text().split("\n"), verified.sentence(), repr(verified)]
        return [line.replace(quoted(called), '"?"') for line in lines]

    assert said(name) == said("plain")


# Training runs.


def training(**changes: object) -> Facts:
    """Facts of a hybrid receipt of a run on data; `digest` stands for any root."""
    digest = bytes([1]) * 32
    stated = {
        "mode": HYBRID, "initial_state": digest, "final_state": digest, "dataset_root": digest,
        "exported_root": digest, "prf_seed": digest, "seed": 1, "start": 1, "records": 60_000,
        "data_slots": 64, "itemised": False, "batch": 1, "steps": 1000, "items": 1000,
    }  # fmt: skip
    return facts(**{**stated, **changes})


def run_lines(given: Facts, pins: Pins = Pins()) -> list[str]:  # noqa: B008
    text = words(given, pins)[1]
    return [
        line[11:]
        for line in re.findall(r"^run .*(?:\n {11}.*)*", text, re.MULTILINE)[0].split("\n")
    ]


def test_a_run_in_words():
    root = "01" * 32
    assert run_lines(training()) == [
        "steps 0 to 999; begins as its program declares, worked out again",
        "each step reads 64 of 60,000 records in the order of the seed, each at most once an "
        "epoch;",
        f"2 epochs begun; data set {root}",
        "its seed follows from the program and the data set",
        "no nonce of yours is in it: whoever made these could try many seeds",
        f"exports weights of root {root}",
    ]


def test_a_continued_run_in_words():
    lines = run_lines(training(first=1000, start=0, nonce=b"n", exported_root=bytes(32)))
    assert lines[0] == "steps 1,000 to 1,999; begins with a state of the prover's choice"
    assert lines[2].startswith("3 epochs begun")
    assert lines[3:] == ["its seed follows from the program, the data set and your nonce"]
    pinned = run_lines(training(start=0), Pins(pinned=("model", "initial_state")))
    assert pinned[0].endswith("begins with the state that you named")


def test_a_run_without_data_or_seed_of_its_own_says_no_more():
    plain = {"records": 0, "data_slots": 0, "dataset_root": bytes(32), "exported_root": bytes(32)}
    assert run_lines(training(**plain, seed=0, start=0, steps=1, items=1)) == [
        "step 0; begins with a state of the prover's choice"
    ]


def test_what_a_run_hides():
    text = words(training())[1]
    assert "hidden     weights, inputs, records and activations, opened or not;" in text
    assert "the first state follows from the program, and the seed with it" in text
    assert "the first state follows" not in words(training(start=0))[1]
    assert "records" not in words(strict())[1]


def test_steps_that_have_nothing_to_do_with_each_other_are_no_run():
    nothing = dict.fromkeys(("initial_state", "prf_seed", "dataset_root"), bytes(32))
    guarantee = Guarantee.of(facts(**nothing), Pins())
    assert guarantee.run is None
    assert guarantee.to_json()["run"] is None
    assert "\nrun " not in guarantee.text()
