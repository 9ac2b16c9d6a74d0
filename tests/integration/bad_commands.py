"""Commands that cannot work: what is wrong, the exit code, the error code, words of the message.

A word in braces is a file of `Place` in test_bad_commands.py. Read the table as a user's log: the
command as it is typed, then what is said.
"""

from __future__ import annotations

from typing import NamedTuple


class Bad(NamedTuple):
    """One command, and what must come of it."""

    command: str
    wrong: str
    exit: int
    code: str
    words: str


USAGE, INPUT, EXISTS, REVEAL = "usage", "usage.input", "usage.file-exists", "prove.needs-reveal"
UNREADABLE, UNWRITABLE = "usage.unreadable", "usage.unwritable"
COMPILE = "compile {onnx} --calibrate {data}"
PROVE = "prove {zkt} --input {x} --mode fast"
VERIFY = "verify {receipt} --model-id {id}"
TRAIN = "train {onnx} --data {train} --batch 8 --steps 2"

OUTPUTS = [
    Bad(f"{COMPILE} -o {{here}}", "the output is a folder", 2, UNWRITABLE, "is a folder"),
    Bad(f"{COMPILE} -o {{new}}/no/m.zkt", "no such folder", 2, UNWRITABLE, "cannot write to"),
    Bad(f"{COMPILE} -o {{zkt}}", "it exists", 2, EXISTS, "--force"),
    Bad(f"{COMPILE} -o {{onnx}} --force", "it is the model", 2, USAGE, "replaces no input"),
    Bad(f"{COMPILE} -o {{data}} --force", "it is the data", 2, USAGE, "replaces no input"),
    Bad(f"{PROVE} -o {{x}} --force", "it is the input", 2, USAGE, "replaces no input"),
    Bad(f"{PROVE} -o {{zkt}} --force", "it is the program", 2, USAGE, "replaces no input"),
    Bad(f"{PROVE} -o {{soft_link}} --force", "a link to the input", 2, USAGE, "is an input"),
    Bad(f"{PROVE} -o {{hard_link}} --force", "the input's other name", 2, USAGE, "is an input"),
    Bad("wrap {receipt} -o {receipt} --force", "it is the receipt", 2, USAGE, "is an input"),
    Bad("compress {receipt} -o {receipt} --force", "it is the receipt", 2, USAGE, "is an input"),
    Bad(f"{PROVE} -o /proc/r", "nothing can be written there", 2, UNWRITABLE, "/proc"),
    Bad(f"{PROVE} -o {{x}}/r", "its folder is a file", 2, UNWRITABLE, "Not a directory"),
    Bad(f"{PROVE} -o /dev/full", "a full disk", 2, UNWRITABLE, "No space left"),
    Bad("aggregate {receipt} -o {receipt} --force", "it is the receipt", 2, USAGE, "is an input"),
    Bad(f"{PROVE} -o - --json", "two things on stdout", 2, USAGE, "both go to stdout"),
    Bad(f"{PROVE} -o {{new}} --final-state {{new}}", "one name twice", 2, USAGE, "two results"),
    Bad(f"{PROVE} -o {{new}} --final-state {{text}}", "it exists", 2, EXISTS, "exists"),
    Bad(f"{TRAIN} -o {{train}} --force", "it is the data", 2, USAGE, "replaces no input"),
    Bad(f"{TRAIN} -o -", "a run has files", 2, USAGE, "are written to files"),
    Bad(f"{TRAIN} --work {{new}} -o {{new}}/r", "into the work", 2, USAGE, "folder of the work"),
    Bad("export {here} -o {new}", "no run there", 2, UNREADABLE, "holds no training run"),
    Bad(f"{COMPILE} --new-key {{x}} -o {{new}}", "the key exists", 2, EXISTS, "exists"),
]

FILES = [
    Bad("compile {none} -o {new}", "no such file", 2, UNREADABLE, "no such file"),
    Bad("compile {here} -o {new}", "a folder", 2, UNREADABLE, "cannot read"),
    Bad("compile {text} -o {new}", "a text", 3, "compile.bad-model", "ONNX"),
    Bad("compile {zkt} --calibrate {data} -o {new}", "compiled", 3, "compile.bad-model", "ONNX"),
    Bad("compile {onnx} --calibrate {none} -o {new}", "no data", 2, UNREADABLE, "No such"),
    Bad("aggregate {onnx} -o {new}", "no receipt", 3, "receipt.bad-magic", "an ONNX file"),
    Bad("aggregate {receipt} -o {new}", "a fast receipt", 2, USAGE, "wrap it with --foldable"),
    Bad("aggregate {none} -o {new}", "no such file", 2, UNREADABLE, "No such file"),
    Bad("compile {onnx} --calibrate {text} -o {new}", "a text", 2, UNREADABLE, ".npz"),
    Bad("compile {onnx} -o {new}", "no data", 2, "compile.calibration", "no calibration data"),
    Bad(
        "prove {onnx} --input {x} -o {new}", "not compiled", 3, "model.malformed", "not a compiled"
    ),
    Bad("prove {cut_zkt} --input {x} -o {new}", "cut short", 3, "model.malformed", "truncated"),
    Bad("prove {empty} --input {x} -o {new}", "empty", 3, "model.malformed", "not a compiled"),
    Bad("prove {zkt} --input {here} -o {new}", "a folder", 2, UNREADABLE, "cannot read"),
    Bad("prove {zkt} --input {receipt} -o {new}", "a receipt", 2, UNREADABLE, ".npz"),
    Bad("prove {zkt} --input {pickle} -o {new}", "pickled", 2, UNREADABLE, "pickles"),
    Bad("resume {empty_folder} -o {new}", "no work there", 2, UNREADABLE, "no unfinished proof"),
    Bad("wrap {onnx} -o {new}", "no receipt", 3, "receipt.bad-magic", "an ONNX file"),
    Bad("compress {onnx} -o {new}", "no receipt", 3, "receipt.bad-magic", "an ONNX file"),
    Bad("compress {receipt} -o {new}", "a fast receipt", 2, USAGE, "--foldable"),
    Bad("verify {onnx} --model-id {id}", "no receipt", 3, "receipt.bad-magic", ""),
    Bad("verify {none} --model-id {id}", "no such file", 2, UNREADABLE, "No such file"),
    Bad("verify {here} --model-id {id}", "a folder", 2, UNREADABLE, "it is a folder"),
    Bad("verify {cut_receipt} --model-id {id}", "cut short", 3, "receipt.truncated", ""),
    Bad("verify {long_receipt} --model-id {id}", "too long", 3, "receipt.trailing-bytes", ""),
    Bad(f"{TRAIN} --labels z -o {{new}}", "no such labels", 2, USAGE, "holds no array 'z'"),
    Bad(
        "dataset-root {x} --program {here}",
        "no run there",
        2,
        "usage.unreadable",
        "no training run",
    ),
    Bad(f"{COMPILE} --key-file {{text}} -o {{new}}", "no key", 2, UNREADABLE, "holds no key"),
    Bad(f"{COMPILE} --key-file {{open_key}} -o {{new}}", "open", 2, UNREADABLE, "by others"),
]

ARRAYS = [
    Bad("prove {zkt} --input {nan} -o {new}", "NaN", 2, INPUT, "NaN"),
    Bad("prove {zkt} --input {inf} -o {new}", "infinite", 2, INPUT, "infinite"),
    Bad("prove {zkt} --input {shape} -o {new}", "another shape", 2, INPUT, "wrong shape"),
    Bad("prove {zkt} --input {name} -o {new}", "another name", 2, INPUT, "image"),
    Bad("prove {zkt} --input {complex} -o {new}", "complex", 2, INPUT, "complex64"),
    Bad("prove {zkt} --input {words} -o {new}", "words", 2, INPUT, ""),
    Bad("prove {zkt} --input {no_rows} -o {new}", "no rows", 2, INPUT, ""),
    Bad("prove {zkt} -o {new}", "no input", 2, INPUT, "image"),
    Bad("compile {onnx} --calibrate {nan} -o {new}", "NaN", 2, INPUT, "NaN"),
    Bad(
        "compile {onnx} --calibrate {no_rows} -o {new}",
        "no rows",
        2,
        "compile.calibration",
        "empty",
    ),
    Bad("verify {receipt} --model-id {id} --input {nan}", "NaN", 2, INPUT, "NaN"),
    Bad("train {onnx} --data {nan_train} --batch 8 -o {new}", "NaN", 2, INPUT, "NaN"),
    Bad("train {onnx} --data {few} --batch 8 -o {new}", "few records", 2, INPUT, "8 or more"),
]

NUMBERS = [
    Bad("compress {receipt} --threads -1 -o {new}", "threads < 0", 2, USAGE, "threads"),
    Bad(f"{PROVE} --delta 0 -o {{new}}", "δ = 0", 2, USAGE, "delta is out of range"),
    Bad(f"{PROVE} --delta 1 -o {{new}}", "δ = 1", 2, USAGE, "delta is out of range"),
    Bad(f"{PROVE} --delta -0.1 -o {{new}}", "δ < 0", 2, USAGE, "delta is out of range"),
    Bad(f"{PROVE} --delta nan -o {{new}}", "δ is no number", 2, USAGE, "parts per million"),
    Bad(f"{PROVE} --delta 1e-9 -o {{new}}", "δ too small", 2, USAGE, "parts per million"),
    Bad(f"{PROVE} --bits 0 -o {{new}}", "λ = 0", 2, USAGE, "bits is out of range"),
    Bad(f"{PROVE} --bits 9999 -o {{new}}", "λ too large", 2, USAGE, "at most 256"),
    Bad(f"{PROVE} --bits 1 -o {{new}}", "0 bits are left", 2, USAGE, "0 bits"),
    Bad(f"{PROVE} --exact fc0 -o {{new}}", "no such op", 2, USAGE, 'no such op: "fc0"'),
    Bad(f"{PROVE} --nonce 0xzz -o {{new}}", "no hex", 2, USAGE, "neither text nor hexadecimal"),
    Bad(f"{PROVE} --first -1 -o {{new}}", "before the first", 2, USAGE, "first"),
    Bad(f"{COMPILE} --batch 0 -o {{new}}", "no items", 2, USAGE, "batch is out of range"),
    Bad(f"{COMPILE} --dim N -o {{new}}", "no size", 2, USAGE, "NAME=N"),
    Bad(f"{COMPILE} --min-sqnr 999 -o {{new}}", "too much asked", 1, "compile.inaccurate", "dB"),
    Bad(f"{VERIFY} --max-delta 0.001", "δ too large", 1, "policy.delta", "larger"),
    Bad(f"{VERIFY} --min-bits 300", "too much asked", 2, USAGE, "min_bits is out of range"),
    Bad(f"{VERIFY} --modes slow", "no such mode", 2, USAGE, "modes are unknown"),
    Bad(f"{VERIFY} --nonce late", "not its nonce", 1, "verify.nonce-mismatch", "another nonce"),
    Bad("verify {receipt} --model-id {id}00", "too long", 2, USAGE, "66 of them"),
    Bad("verify {receipt} --model-id hello", "no hex", 2, USAGE, "is not hexadecimal"),
    Bad("verify {receipt} --model-id {other_id}", "another", 1, "verify.model-mismatch", ""),
    Bad(f"{TRAIN} --steps 0 -o {{new}}", "no steps", 2, USAGE, "steps is out of range"),
    Bad(f"{TRAIN} --steps 2.5 -o {{new}}", "half a step", 2, USAGE, "--steps is no number"),
    Bad(f"{TRAIN} --receipt-every 0 -o {{new}}", "0 a receipt", 2, USAGE, "receipt_every is"),
    Bad(f"{TRAIN} --strict-steps 1:9 -o {{new}}", "beyond the end", 2, USAGE, "strict_steps"),
    Bad(f"{TRAIN} --nonce text -o {{new}}", "no hex", 2, USAGE, "the nonce is no hex"),
    Bad(f"{TRAIN} --lr nan -o {{new}}", "no rate", 2, USAGE, "lr is out of range"),
    Bad(f"{TRAIN} --memory 0 -o {{new}}", "no memory", 2, USAGE, "--memory is out of range"),
    Bad(f"{TRAIN}", "no output", 2, USAGE, "-o FILE"),
    Bad(f"{TRAIN} --prepare", "no folder", 2, USAGE, "--work DIR"),
    Bad(f"{TRAIN} --mode fast -o {{new}}", "shows", 2, REVEAL, "--reveal"),
    Bad("prove {private} --input {x} --mode fast -o {new}", "", 2, REVEAL, "--reveal"),
    Bad(f"{PROVE} --small -o {{new}}", "fast is not small", 2, USAGE, "not about fast receipts"),
    Bad(f"{PROVE} --foldable -o {{new}}", "nor folded", 2, USAGE, "not about fast receipts"),
    Bad(f"{PROVE} --small --foldable -o {{new}}", "both", 2, USAGE, "one profile"),
    Bad(f"{COMPILE} --public --key-file {{x}} -o {{new}}", "both", 2, USAGE, "has no key"),
]

CASES = [*OUTPUTS, *FILES, *ARRAYS, *NUMBERS]
