"""What the command line of a verification takes, and what it means.

`zktally-verify`, `zktally verify` and `zktally report` share it.
"""

from __future__ import annotations

import argparse
import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from .errors import UsageError
from .files import read_arrays
from .kinds import what_is_at
from .labels import LABELS, parse
from .policy import Expectations, Policy, options
from .quoting import listed, quoted, quoted_path, shell_word
from .receipt import DEFAULT_MAX_SIZE


def add_verify_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of a verification."""
    add = parser.add_argument
    add(
        "receipt",
        nargs="+",
        help="the receipt file, or an aggregate (- is stdin); several: those of one run, in their "
        "order",
    )
    add(
        "--follows",
        action="append",
        default=[],
        metavar="RECEIPT",
        help="the receipt that this one continues, judged with it (again: the one after that)",
    )
    add(
        "--model-id",
        action="append",
        metavar="HEX",
        help="the model that you mean (64 digits); always needed (again: another one, whose "
        "receipts are in the same aggregate)",
    )
    add(
        "--policy",
        metavar="TOML",
        help="a file of what is demanded, by the names of these options; they go before it",
    )
    _add_options(parser, Policy)
    add(
        "--range",
        action="append",
        default=[],
        metavar="NAME=LO:HI",
        help="demand that the input of this name is published and all its values lie in the range",
    )
    add(
        "--modes",
        metavar="NAMES",
        help=f"acceptable modes (default: {','.join(Policy.modes)}; snark only if named)",
    )
    add(
        "--allow-sampled-outputs",
        action="store_true",
        help="accept outputs that are only sampled",
    )
    add("--input", metavar="NPZ", help="the inputs that you mean (.npz by name, or one .npy)")
    _add_options(parser, Expectations)
    for name, rule in LABELS.items():
        add(f"--{name}", metavar="TEXT", help=rule.demanded)
    add(
        "--exported",
        metavar="ID",
        help="show the id of the model that serves the exported weights by this program (its id)",
    )
    add(
        "--shown",
        metavar="FILE",
        help="a showing of outputs of some steps, where the receipt hides its outputs",
    )
    add("--outputs", metavar="FILE", help="write the verified outputs to a new .npz or .csv file")
    add("--report", metavar="HTML", help="write the verdict as a page for people, a new file")
    add("--even-refused", action="store_true", help="write the page of a refused receipt, too")
    add("--force", action="store_true", help="overwrite the files that are written")
    add("--json", action="store_true", help="print one JSON object")
    add(
        "--max-size",
        type=int,
        default=DEFAULT_MAX_SIZE,
        metavar="BYTES",
        help=f"refuse larger files (default: {DEFAULT_MAX_SIZE})",
    )
    parser.set_defaults(also_read=())  # files that a command reads for options that take none


def _add_options(parser: argparse.ArgumentParser, of: type[Policy] | type[Expectations]) -> None:
    for each in options(of):
        flag = f"--{each.name.replace('_', '-')}"
        parser.add_argument(flag, default=None, **each.metadata)


def expectations_from(args: argparse.Namespace) -> Expectations:
    """What the command line expects of receipts of one model.

    Raises:
        UsageError: an argument makes no sense, or the inputs cannot be read.
    """
    return of_one_model(expectations_from_all(args))


def of_one_model(expectations: Sequence[Expectations]) -> Expectations:
    """The only one of these, which are at least one.

    Raises:
        UsageError: several models are named.
    """
    if len(expectations) == 1:
        return expectations[0]
    raise UsageError(
        "several models are named for receipts of one",
        expected="one --model-id",
        received=", ".join(each.model_id.hex() for each in expectations),
        hint="only an aggregate has receipts of several models",
    )


def expectations_from_all(args: argparse.Namespace) -> list[Expectations]:
    """What the command line expects of receipts of each model that it names, at least one.

    Raises:
        UsageError: an argument makes no sense, or the inputs cannot be read.
    """
    if not args.model_id:
        raise UsageError(
            "--model-id is missing",
            expected="the id of the model that you mean, 64 hexadecimal digits",
            hint="it comes from whoever you trust to name the model, not from the receipt",
        )
    stated = {} if args.policy is None else read_policy(args.policy)
    given = {
        each.name: getattr(args, each.name) for of in (Policy, Expectations) for each in options(of)
    }
    stated |= {name: value for name, value in given.items() if value is not None}
    if args.modes is not None:
        stated["modes"] = tuple(args.modes.split(","))
    if args.allow_sampled_outputs:
        stated["outputs_exact"] = False
    if args.range:
        stated["ranges"] = {**stated.get("ranges", {}), **dict(map(_range, args.range))}
    demanded = {each.name for each in fields(Policy)}
    policy = Policy(**{name: value for name, value in stated.items() if name in demanded})
    expected = {
        "inputs": None if args.input is None else read_arrays(args.input),
        **{name: value for name, value in stated.items() if name not in demanded},
        **labels_from(args),
    }
    return [Expectations.of(model, policy, **expected) for model in args.model_id]


def refuse_options_of_one(args: argparse.Namespace) -> None:
    """Refuse options that say nothing of several receipts with nothing but a proof in common.

    Raises:
        UsageError: there are some.
    """
    given = [_flag(name) for name in OF_ONE if getattr(args, name)]
    if given:
        raise UsageError(
            "an option is about single receipts, and this is an aggregate",
            expected="options that hold of every receipt",
            received=", ".join(given),
            hint="judge the receipts that it was made of one by one for that",
        )


OF_ONE = ("follows", "input", "input_root", "exported", "shown", "outputs", "report")
"""Options of a single receipt, or of those of one run."""


def read_policy(path: str) -> dict[str, Any]:
    """A file of demands, TOML: fields of a policy by name, ranges as a table, and digests.

    Raises:
        UsageError: it cannot be read, or has a field that there is not.
    """
    try:
        with Path(path).open("rb") as file:
            stated = tomllib.load(file)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        kind = what_is_at(path)
        raise UsageError(
            f"cannot read a policy from {quoted_path(path)}",
            code="usage.unreadable",
            expected="a TOML file",
            received=error if kind.startswith(("a text", "nothing")) else kind,
        ) from error
    known = {each.name for each in (*fields(Policy), *options(Expectations))}
    if unknown := set(stated) - known:
        raise UsageError(
            f"a policy has no {quoted(min(unknown))}",
            expected=listed(sorted(known)),
            received=quoted_path(path),
        )
    return stated


def _range(text: str) -> tuple[str, tuple[float, float]]:
    name, equals, ends = text.rpartition("=")
    low, colon, high = ends.partition(":")
    try:
        if equals and colon:
            return name, (float(low), float(high))
    except ValueError:
        pass
    raise UsageError("--range is no range", expected="NAME=LO:HI", received=quoted(text))


def labels_from(args: argparse.Namespace) -> dict[str, Any]:
    """The labels that the command line names, of a verifier or of a prover.

    Raises:
        UsageError: one cannot be what it stands for.
    """
    given = {name: getattr(args, name) for name in LABELS}
    return {name: parse(name, text) for name, text in given.items() if text is not None}


def command_of(args: argparse.Namespace, names: Mapping[str, str]) -> str:
    """The command that makes the same demands of the same receipts, for a shell: a line a word.

    Args:
        args: the command line.
        names: what the files that it reads are called where it is repeated (`names_of`).
    """
    return " \\\n    ".join(["zktally-verify", *map(shell_word, _words(args, names))])


def files_read(args: argparse.Namespace) -> list[str]:
    """The files that a verification reads again when it is repeated: receipts first."""
    others = [path for path in (args.input, args.policy, args.shown) if path is not None]
    return [*args.follows, *args.receipt, *others]


def names_of(paths: Iterable[str]) -> dict[str, str]:
    """Names that tell files apart, and nothing of the machine that they lie on.

    That is what is last in their paths, or, where two of them have that in common, their places
    under the folder that they share.
    """
    found = dict.fromkeys(path for path in paths if path != "-")
    places = {path: Path(path).parent.resolve() / Path(path).name for path in found}
    names = {path: place.name for path, place in places.items()}
    if len(set(names.values())) < len(set(places.values())):
        shared = os.path.commonpath([place.parent for place in places.values()])
        names = {path: place.relative_to(shared).as_posix() for path, place in places.items()}
    return {**names, "-": "-"}


def _words(args: argparse.Namespace, names: Mapping[str, str]) -> Iterator[str]:
    for path in (names[path] for path in [*args.follows, *args.receipt]):
        yield f"./{path}" if path.startswith("-") and path != "-" else path
    for name in ("input", "policy", "shown"):
        path = getattr(args, name)
        yield from _option(name, None if path is None else names[path])
    for model in args.model_id or ():
        yield from _option("model_id", model)
    for name in ("modes", "exported", *LABELS):
        yield from _option(name, getattr(args, name))
    for each in (each for of in (Policy, Expectations) for each in options(of)):
        value = getattr(args, each.name)
        if each.metadata.get("action") == "store_true":
            yield from [_flag(each.name)] if value else []
        else:
            yield from _option(each.name, _spelled(value))
    for given in args.range:
        yield f"--range={given}"
    if args.allow_sampled_outputs:
        yield "--allow-sampled-outputs"
    if args.max_size != DEFAULT_MAX_SIZE:
        yield f"--max-size={args.max_size}"


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _option(name: str, value: str | None) -> list[str]:
    return [] if value is None else [f"{_flag(name)}={value}"]


def _spelled(value: Any) -> str | None:
    """A value as its option takes it."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, tuple):
        return (":" if isinstance(value[0], int) else ",").join(map(str, value))
    return f"{value:.6f}".rstrip("0") if isinstance(value, float) else str(value)
