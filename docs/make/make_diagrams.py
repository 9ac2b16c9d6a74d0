"""Draws docs/diagrams/*.svg: the figures of how-it-works.md, legible on light and dark pages.

Each figure brings its own light ground. Run it with `make docs`; tests/unit/test_drawn_pages.py
fails if a figure is stale.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from html import escape
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "diagrams"
INK, SOFT, LINE, GROUND = "#1d2b33", "#51626c", "#7b8b94", "#fbfcfc"
FILLS = {"public": "#d9efe7", "hidden": "#e4e1f3", "neutral": "#eef1f3", "prover": "#fdf0d8"}
EDGES = {"public": "#2f8f6f", "hidden": "#6a5fb0", "neutral": "#9aa7ae", "prover": "#c4902f"}
WORD, SMALL = 15, 12.5
STEP = 17
"""Pixels from one line of text to the next."""


def text(x: float, y: float, words: str, size: float = SMALL, **style: str) -> str:
    """One line of text."""
    said = " ".join(f'{name.replace("_", "-")}="{value}"' for name, value in style.items())
    return f'<text x="{x:g}" y="{y:g}" font-size="{size:g}" {said}>{escape(words)}</text>'


def box(x: float, y: float, w: float, h: float, title: str, lines: str = "", kind: str = "neutral"):
    """A box with a title, and lines below it that are parted by `|`."""
    parts = [
        f'<rect x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}" rx="8" fill="{FILLS[kind]}" '
        f'stroke="{EDGES[kind]}" stroke-width="1.5"/>',
        text(x + 12, y + 22, title, WORD, font_weight="600", fill=INK),
    ]
    for number, line in enumerate(filter(None, lines.split("|"))):
        parts.append(text(x + 12, y + 43 + STEP * number, line, fill=SOFT))
    return "\n".join(parts)


def arrow(x1: float, y1: float, x2: float, y2: float, words: str = "") -> str:
    """A straight arrow, with words above its middle."""
    line = (
        f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" stroke="{LINE}" '
        'stroke-width="1.8" marker-end="url(#tip)"/>'
    )
    if not words:
        return line
    middle = ((x1 + x2) / 2, (y1 + y2) / 2 - 7)
    return line + "\n" + text(*middle, words, text_anchor="middle", fill=SOFT)


def picture(width: int, height: int, title: str, parts: Iterable[str]) -> str:
    """The whole figure."""
    tip = (
        '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" '
        'markerHeight="7" orient="auto-start-reverse">'
        f'<path d="M 0 0 L 10 5 L 0 10 z" fill="{LINE}"/></marker></defs>'
    )
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img" '
        'font-family="system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif">'
    )
    ground = f'<rect width="{width}" height="{height}" rx="12" fill="{GROUND}"/>'
    return "\n".join([head, f"<title>{escape(title)}</title>", tip, ground, *parts, "</svg>", ""])


def key(x: float, y: float, *kinds: tuple[str, str]) -> str:
    """What the colours mean."""
    parts = []
    for kind, words in kinds:
        parts.append(
            f'<rect x="{x:g}" y="{y - 11:g}" width="14" height="14" rx="3" fill="{FILLS[kind]}" '
            f'stroke="{EDGES[kind]}"/>'
        )
        parts.append(text(x + 20, y, words, fill=SOFT))
        x += 34 + 7 * len(words)
    return "\n".join(parts)


def flow() -> str:
    """From a model to a verdict."""
    model = "floats, and typical|inputs to find|their ranges"
    program = "program: ops, shapes|and tables|weights and salts|→ model id"
    expected = "expected: model id,|policy, perhaps inputs|drawn: which gates|→ verdict in words"
    parts = [
        box(20, 40, 150, 96, "model.onnx", model, "hidden"),
        arrow(170, 88, 258, 88, "compile"),
        box(260, 24, 176, 116, "model.zkt", program, "hidden"),
        arrow(436, 88, 524, 88, "prove"),
        box(526, 40, 170, 96, "run.receipt", "what is claimed,|and a proof of it", "public"),
        box(260, 196, 176, 62, "inputs", "one step a batch", "hidden"),
        arrow(436, 226, 540, 138),
        arrow(696, 88, 752, 88),
        box(754, 24, 186, 116, "verify", expected, "neutral"),
        box(
            526, 196, 414, 62, "model id", "reaches the verifier before, not by a receipt", "public"
        ),
        arrow(847, 196, 847, 142),
        key(
            20,
            292,
            ("hidden", "stays with the prover"),
            ("public", "goes out"),
            ("neutral", "whoever verifies"),
        ),
    ]
    return picture(960, 312, "From a model to a verdict", parts)


def receipt() -> str:
    """What lies in a receipt."""
    rows = (
        ("magic, version", "seven letters and a number: can this reader judge it?"),
        ("program", "ops, shapes, tables, scales; its hash is the program id"),
        ("statement (journal)", "mode, δ, λ, exact ops, roots, steps, outputs, what is published"),
    )
    openings = "the sampled values themselves,|their salts, and the paths|from leaves to roots"
    proofs = "one STARK a segment: somebody|knows openings that fit, and|they follow the program"
    samples = "SHA-256 of the statement is the|seed, and draws the gates. Nobody|"
    verifier = "1. compares with what is expected|2. draws the samples itself|"
    parts = [
        text(24, 32, "From the first byte to the last", WORD, font_weight="600", fill=INK),
        *(
            box(24, 48 + 70 * number, 560, 60, title, line, "public")
            for number, (title, line) in enumerate(rows)
        ),
        box(24, 258, 272, 100, "fast: openings", openings, "prover"),
        box(312, 258, 272, 100, "hybrid, strict: proofs", proofs, "hidden"),
        box(
            640,
            48,
            296,
            118,
            "samples",
            samples + "can choose them: all roots stand|in the statement.",
            "neutral",
        ),
        arrow(584, 218, 690, 168),
        box(
            640,
            240,
            296,
            118,
            "verifier",
            verifier + "3. checks openings or proofs|4. says in words what follows",
            "neutral",
        ),
        arrow(788, 166, 788, 238),
        arrow(584, 308, 638, 308),
        key(
            24,
            392,
            ("public", "in every receipt"),
            ("prover", "in the clear"),
            ("hidden", "in zero knowledge"),
            ("neutral", "not in it: worked out by whoever verifies"),
        ),
    ]
    return picture(960, 412, "A receipt's anatomy", parts)


def hidden() -> str:
    """What is public and what is hidden."""
    public = (
        "program: layers, shapes, constants, tables, scales",
        "model id; digests of inputs, states and steps",
        "outputs",
        "number of steps and items; audience and nonce",
        "hybrid: which gates were sampled",
        "training: losses, learning rates, root of the data set",
        "sizes and number of proofs",
    )
    secret = (
        "weights",
        "activations and gradients",
        "inputs, unless published",
        "state between steps",
        "records of a data set",
        "values that were sampled, and their salts",
    )
    guessed = "root and key: whoever has the|inputs, or guesses them, can tell"
    unknown = "a root; nobody can tell|which inputs these were"
    shown = "A fast receipt shows in the clear what it opens: sampled weights, inputs, activations."
    parts = [
        text(24, 32, "A hybrid or strict receipt", WORD, font_weight="600", fill=INK),
        box(24, 46, 440, 166, "public", "|".join(public), "public"),
        box(496, 46, 440, 166, "hidden", "|".join(secret), "hidden"),
        text(24, 248, "Inputs: the prover's choice", WORD, font_weight="600", fill=INK),
        box(24, 262, 292, 78, "private", unknown, "hidden"),
        box(334, 262, 292, 78, "checkable", guessed, "prover"),
        box(644, 262, 292, 78, "public", "the values stand in the receipt", "public"),
        text(24, 370, shown, fill=SOFT),
    ]
    return picture(960, 390, "What is public and what is hidden", parts)


def hybrid() -> str:
    """What a hybrid receipt checks."""
    statement = "all roots are fixed|before any gate is|drawn"
    opened = "operands and result of each|drawn gate, with tree paths"
    draw = "by weight, over all steps; some of|every op; of exact ops, all"
    parts = [
        box(24, 30, 180, 92, "step 0", "tensors of every op,|hashed into trees", "hidden"),
        arrow(204, 76, 262, 76, "state"),
        box(264, 30, 180, 92, "step 1", "the same program on|the next batch", "hidden"),
        arrow(444, 76, 502, 76, "state"),
        box(504, 30, 180, 92, "step 2", "and so on", "hidden"),
        arrow(684, 76, 754, 76, "roots"),
        box(756, 30, 180, 92, "statement", statement, "public"),
        arrow(846, 122, 846, 170),
        box(664, 172, 272, 80, "draw", draw, "neutral"),
        arrow(664, 212, 598, 212),
        box(344, 172, 252, 80, "open", opened, "prover"),
        arrow(344, 212, 278, 212),
        box(
            24, 172, 252, 80, "prove", "a STARK: the openings are|right, and stay hidden", "hidden"
        ),
    ]
    return picture(960, 276, "What a hybrid receipt checks", parts)


FIGURES: dict[str, Callable[[], str]] = {
    "flow": flow,
    "receipt": receipt,
    "hidden": hidden,
    "hybrid": hybrid,
}


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, figure in FIGURES.items():
        (FOLDER / f"{name}.svg").write_text(figure(), encoding="utf-8")
