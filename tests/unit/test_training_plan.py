"""Plans of training runs, the files they come from, and tables of records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zktally.circuits.training.losses import BinaryCrossEntropy, CrossEntropy, MeanSquaredError
from zktally.circuits.training.optimisers import SGD, Adam
from zktally.hybrid.training.plan import STRICT_MOST, Plan, read_plan, with_values
from zktally.hybrid.training.table import classes, labelled, read_records
from zktally.verifier.chain import bits_together
from zktally.verifier.errors import UsageError


@pytest.mark.parametrize(
    ("values", "optimiser"),
    [
        ({}, SGD(0.9)),
        ({"momentum": 0.0, "weight_decay": 0.1}, SGD(0.0, weight_decay=0.1)),
        ({"nesterov": True}, SGD(0.9, nesterov=True)),
        ({"optimizer": "adam", "weight_decay": 0.1}, Adam(0.9, 0.999)),
        (
            {"optimizer": "adamw", "betas": (0.8, 0.99), "weight_decay": 0.1},
            Adam(0.8, 0.99, weight_decay=0.1),
        ),
    ],
)
def test_optimisers(values: dict[str, Any], optimiser: object) -> None:
    assert Plan(**values).optimiser() == optimiser


def test_losses_and_limits_stand_in_the_recipe() -> None:
    plan = Plan(label_smoothing=0.1, clip_value=1.0, clip_norm=2.0, freeze=("a*",), loss_output="z")
    recipe = plan.recipe()
    assert recipe.loss == CrossEntropy(0.1)
    assert (recipe.clip_value, recipe.clip_norm, recipe.freeze) == (1.0, 2.0, ("a*",))
    assert recipe.output == "z"
    assert Plan(loss="mse").recipe().loss == MeanSquaredError()
    assert Plan(loss="binary-cross-entropy").recipe().loss == BinaryCrossEntropy()


def parts(**values: Any) -> list[tuple[int, int, str]]:
    return [(part.first, part.count, part.mode) for part in Plan(**values).parts()]


def test_parts() -> None:
    assert parts(steps=600) == parts(steps=600, receipt_every=600) == [(0, 600, "hybrid")]
    assert parts(steps=5, receipt_every=2, mode="fast") == [
        (0, 2, "fast"), (2, 2, "fast"), (4, 1, "fast"),
    ]  # fmt: skip
    assert parts(steps=20, strict_steps="10:12") == [
        (0, 10, "hybrid"), (10, 2, "strict"), (12, 8, "hybrid"),
    ]  # fmt: skip
    assert parts(steps=6, strict_steps="0:2", receipt_every=4) == [
        (0, 2, "strict"), (2, 2, "hybrid"), (4, 2, "hybrid"),
    ]  # fmt: skip
    assert parts(steps=4, strict_steps="2:4") == [(0, 2, "hybrid"), (2, 2, "strict")]


def test_strict_receipts_have_their_bits_together() -> None:
    """Each has 102 bits; what verifiers demand as usual is 100 of all together."""
    assert bits_together([102] * STRICT_MOST) == 100 > bits_together([102] * (STRICT_MOST + 1))
    assert len(parts(steps=4, receipt_every=1, mode="strict")) == STRICT_MOST
    for values in (
        {"steps": 5, "receipt_every": 1, "mode": "strict"},
        {"steps": 9, "receipt_every": 1, "strict_steps": "2:7"},
    ):
        with pytest.raises(UsageError, match="strict receipts"):
            Plan(**values)


def test_rates() -> None:
    rates = Plan(steps=100, lr=0.2, schedule="cosine", warmup=10).rates()
    assert rates.at(4) == pytest.approx(0.1)
    assert rates.at(10) == pytest.approx(0.2)
    assert rates.at(99) < 0.001


BAD: list[dict[str, Any]] = [
    {"loss": "hinge"},
    {"optimizer": "rmsprop"},
    {"schedule": "linear"},
    {"start": "zero"},
    {"precision": "int4"},
    {"mode": "snark"},
    {"batch": 0},
    {"steps": 0},
    {"rehearsal": 1},
    {"receipt_every": 0},
    {"lr": 0.0},
    {"lr": float("inf")},
    {"clip_norm": -1.0},
    {"momentum": 1.0},
    {"label_smoothing": -0.1},
    {"betas": (0.9, 1.0)},
    {"weight_decay": -1.0},
    {"nonce": "xyz"},
    {"nonce": ""},
    {"nonce": "00" * 65},
    {"strict_steps": "5"},
    {"strict_steps": "5:5"},
    {"strict_steps": "5:601"},
    {"strict_steps": "-1:5"},
]


@pytest.mark.parametrize("values", BAD, ids=str)
def test_values_that_are_none_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as caught:
        Plan(**values)
    assert next(iter(values)) in str(caught.value)


def test_nonces_are_hex() -> None:
    assert Plan(nonce="0x00ff").nonce_bytes() == Plan(nonce="00ff").nonce_bytes() == b"\x00\xff"
    assert Plan().nonce_bytes() is None


@pytest.mark.parametrize(
    "values",
    [{"lr": "fast"}, {"steps": 1.5}, {"steps": True}, {"nesterov": 1}, {"freeze": [1]},
     {"betas": [0.9]}, {"mode": 3}, {"momentum": None, "unknown": 1}],
    ids=str,
)  # fmt: skip
def test_values_of_other_kinds_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        with_values(Plan(), values)


def test_a_plan_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text(
        'model = "net/a.onnx"\ndata = "a.npz"\nlabels = "kind"\nlr = 1\nsteps = 7\n'
        'freeze = ["embed*"]\nbetas = [0.8, 0.9]\noptimizer = "adam"\n'
    )
    plan, sources = read_plan(file)
    assert plan == Plan(lr=1.0, steps=7, freeze=("embed*",), betas=(0.8, 0.9), optimizer="adam")
    assert sources.model == tmp_path / "net/a.onnx"
    assert (sources.data, sources.labels, sources.evaluation) == (tmp_path / "a.npz", "kind", None)
    file.write_text("lr = \n")
    with pytest.raises(UsageError) as caught:
        read_plan(file)
    assert caught.value.code == "usage.unreadable"
    file.write_text("stepps = 3\n")
    with pytest.raises(UsageError, match="stepps"):
        read_plan(file)


# Records


def test_arrays_by_name(tmp_path: Path) -> None:
    file = tmp_path / "a.npz"
    np.savez(file, x=np.ones((3, 2)), y=np.arange(3))
    held = read_records(file)
    assert isinstance(held.inputs, np.ndarray)
    assert held.labels.tolist() == [0, 1, 2]
    np.savez(file, a=np.ones((3, 2)), b=np.ones((3, 1)), kind=np.arange(3))
    inputs = read_records(file, "kind").inputs
    assert set(inputs) == {"a", "b"}
    for name, message in (("y", "no array"), ("a", None)):
        if message:
            with pytest.raises(UsageError, match=message):
                read_records(file, name)


def test_a_file_that_is_none(tmp_path: Path) -> None:
    file = tmp_path / "a.npz"
    file.write_bytes(b"PK\x03\x04 nothing")
    for path in (file, tmp_path / "missing.npz", tmp_path / "missing.csv"):
        with pytest.raises(UsageError) as caught:
            read_records(path)
        assert caught.value.code == "usage.unreadable"


def test_a_table(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("a,kind,b\n1,red,2\n3,white,4.5\n\n5,red,-6e1\n")
    held = read_records(file, "kind")
    assert isinstance(held.inputs, np.ndarray)
    assert held.inputs.dtype == np.float32
    assert held.inputs.tolist() == [[1, 2], [3, 4.5], [5, -60]]
    assert held.labels.tolist() == [0, 1, 0]


def test_a_table_means_what_another_one_does(tmp_path: Path) -> None:
    """Columns go by their names, and classes are those of the table that was trained on."""
    file, other = tmp_path / "a.csv", tmp_path / "b.csv"
    file.write_text("a,kind,b\n1,red,2\n3,white,4\n5,blue,6\n")
    other.write_text("kind,b,a\nwhite,2,1\nred,4,3\n")
    like = read_records(file, "kind").columns
    held = read_records(other, "kind", like)
    assert isinstance(held.inputs, np.ndarray)
    assert held.inputs.tolist() == [[1, 2], [3, 4]]
    assert held.labels.tolist() == [2, 1]
    for text, message in (
        ("kind,b,c\nred,1,2\n", "other columns"),
        ("kind,a\nred,1\n", "other columns"),
        ("kind,a,b\ngreen,1,2\n", "no such classes"),
        ("kind,a,b\n1,1,2\n", "no such classes"),
    ):
        other.write_text(text)
        with pytest.raises(UsageError, match=message):
            read_records(other, "kind", like)
    file.write_text("a,kind,b\n1,7,2\n3,8,4\n")
    other.write_text("a,kind,b\n1,red,2\n")
    with pytest.raises(UsageError, match="labels are no numbers"):
        read_records(other, "kind", read_records(file, "kind").columns)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "no column 'y'"),
        ("a,y\n", "no rows"),
        ("a,y\n1\n", "line 2"),
        ("a,y\n1,2\none,2\n", "no number"),
        ("a,y,y\n1,2,3\n", "one twice"),
        ("y\n1\n", "labels alone"),
        ("a,y\n1,2.5\n1,NA\n", "some labels are numbers"),
    ],
)
def test_tables_that_are_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "a.csv"
    file.write_text(text)
    with pytest.raises(UsageError, match=message):
        read_records(file)


def test_labels_are_numbers_or_classes() -> None:
    for cells, kind in (
        (["2", "0", "1"], np.int64),
        (["0.5", "1"], np.float32),
        (["nan", "1"], np.float32),
        (["1e30", "1"], np.float32),
    ):
        assert classes(cells) == ()
        assert labelled(cells).dtype == kind
    cells = ["b", "a", "b", "c"]
    assert labelled(cells, classes(cells)).tolist() == [1, 0, 1, 2]
