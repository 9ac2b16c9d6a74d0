"""Tables in notebooks: what stands in them, and that nothing in them is HTML of a stranger's."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import zktally
from zktally.verifier.notebook import rows_of, table

EVIL = "<script>alert(1)</script>&"


@pytest.fixture(scope="module")
def made():
    """A small model with an evil name, a receipt of it, and the verdict."""
    weights = np.random.default_rng(1).standard_normal((4, 3)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], [EVIL])],
        EVIL,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])],
        [helper.make_tensor_value_info(EVIL, TensorProto.FLOAT, ["n", 3])],
        [numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    x = np.random.default_rng(2).random((24, 4)).astype(np.float32)
    data = onnx.ModelProto.SerializeToString(model)
    compiled = zktally.compile(data, x, public=True)
    receipt = zktally.prove(compiled, x[:2], "fast", progress=False)
    verified = receipt.verify(compiled.model_id)
    run = zktally.VerifiedRun((verified,))
    check = zktally.check_model(data, compiled)
    return {
        "Receipt": receipt, "CompiledModel": compiled, "Verified": verified,
        "Guarantee": verified.guarantee, "VerifiedRun": run, "ModelCheck": check,
    }  # fmt: skip


NAMES = ["Receipt", "CompiledModel", "Verified", "Guarantee", "VerifiedRun", "ModelCheck"]


@pytest.mark.parametrize("name", NAMES)
def test_it_is_a_short_table_of_plain_cells(made, name) -> None:
    shown = made[name]._repr_html_()
    assert name in repr(made[name])
    tags = set(re.findall(r"<\s*/?\s*([a-z]+)", shown))
    assert tags == {"table", "caption", "tr", "th", "td"}
    assert 2 <= shown.count("<tr>") <= 20
    assert "&lt;script&gt;" in shown or name in ("Receipt", "VerifiedRun", "Guarantee")


def test_a_receipt_says_what_it_claims_and_bytes_say_that_they_are_none(made) -> None:
    receipt = made["Receipt"]
    assert "unverified; claims fast; steps 2" in repr(receipt)
    assert "unverified" in receipt._repr_html_()
    assert "not readable" in repr(zktally.Receipt(b"junk"))
    assert "not readable" in zktally.Receipt(b"junk")._repr_html_()


def test_a_verdict_has_its_outputs_and_its_bound(made) -> None:
    rows = dict(made["Verified"].rows())
    assert rows["mode"] == "fast"
    assert rows["model"] == made["CompiledModel"].model_id.hex()
    assert "bit" in rows["bound"]
    strict = replace(made["Guarantee"], complete=True)
    rows = dict(replace(made["Verified"], guarantee=strict).rows())
    assert rows["bound"].startswith("every gate of every step was checked")


def test_lines_become_rows() -> None:
    text = "shown      this\n           and that\nno label\npinned by  you"
    assert rows_of(text) == [("shown", "this and that"), ("", "no label"), ("pinned by", "you")]
    assert "&lt;b&gt;" in table("<b>", [("<b>", "<b>")])
    assert "<b>" not in table("<b>", [("<b>", "<b>")])
