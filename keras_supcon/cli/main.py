"""The command `keras-supcon` and its parts."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence

from keras_supcon.cli import claims, demo, doctor, embed, evaluate, study
from keras_supcon.cli.shared_arguments import names_of_others
from keras_supcon.experiments import one_line_errors
from keras_supcon.version import __version__

_COMMANDS = {
    "evaluate": evaluate,
    "embed": embed,
    "study": study,
    "claims": claims,
    "demo": demo,
    "doctor": doctor,
}
_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command.

    Args:
        arguments: Arguments of the command line; None takes those of the process.

    Returns:
        The exit code: 0 if all went well, 130 if it was interrupted.

    Raises:
        SystemExit: For `--help`, and with one line for what the user can mend.

    Example:

    >>> from keras_supcon.cli import main
    >>> try:
    ...     main(["embed", "--encoder=none.keras", "--dataset=digits", "--output_dir=build/none"])
    ... except SystemExit as error:
    ...     print(str(error).split(": ")[1].split(".")[0])
    `--encoder` should be the file of a saved Keras model
    """
    parser = argparse.ArgumentParser(
        prog="keras-supcon",
        description="Supervised contrastive learning in Keras: measures what an encoder has "
        "learned.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    for name, module in _COMMANDS.items():
        of_command = commands.add_parser(
            name,
            help=module.HELP,
            description=module.__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(of_command)
    given = parser.parse_args(arguments)
    # TensorFlow takes the predictions of several models for one that is traced often.
    logging.getLogger("tensorflow").setLevel("ERROR")
    names = {**names_of_others(given), **{name: name for name in vars(given)}}
    with one_line_errors(ValueError, RuntimeError, OSError, ImportError, flags=names):
        try:
            return _COMMANDS[given.command].run(given)
        except KeyboardInterrupt:
            print(f"{parser.prog} {given.command}: stopped", file=sys.stderr)
            return _INTERRUPTED
