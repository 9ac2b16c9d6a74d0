"""zktally completion: what a shell needs to complete this command line."""

from __future__ import annotations

import argparse
from typing import Any

from ..verifier.errors import UsageError

SHELLS = ("bash", "zsh", "fish", "tcsh")
INSTALL = """\
Put the script where your shell looks for it:

  bash  zktally completion bash > ~/.local/share/bash-completion/completions/zktally
  zsh   zktally completion zsh > DIR/_zktally    (DIR stands in $fpath)
  fish  zktally completion fish > ~/.config/fish/completions/zktally.fish
  tcsh  zktally completion tcsh >> ~/.tcshrc
"""


def add_to(verbs: Any) -> None:
    """Add the verb to the command line."""
    verb = verbs.add_parser(
        "completion",
        help="print what a shell needs to complete this command line",
        description="Print a script that completes verbs, options and files.",
        epilog=INSTALL,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_argument("shell", choices=SHELLS)
    verb.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the script."""
    try:
        import shtab
    except ImportError as error:
        raise UsageError("completion needs shtab", hint="pip install shtab") from error
    from .main import parser

    if args.shell not in shtab.SUPPORTED_SHELLS:
        raise UsageError(
            f"this shtab knows no {args.shell}",
            expected=", ".join(shtab.SUPPORTED_SHELLS),
            hint="pip install --upgrade shtab",
        )
    root = parser()
    _complete_files(root)
    print(shtab.complete(root, shell=args.shell))
    return 0


FILES = ("NPZ", "FILE", "ZKT", "ZKS", "TOML", "CSV", "RECEIPT", "RUN|ZKT")
POSITIONALS = ("model", "compiled", "receipt", "records", "output", "policy", "models")


def _complete_files(parser: argparse.ArgumentParser) -> None:
    """Tell shtab which arguments are files and which are folders."""
    import shtab

    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for verb in {id(each): each for each in action.choices.values()}.values():
                _complete_files(verb)
        elif action.choices is None and action.metavar == "DIR":
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
        elif action.choices is None and (action.metavar in FILES or action.dest in POSITIONALS):
            action.complete = shtab.FILE  # type: ignore[attr-defined]
