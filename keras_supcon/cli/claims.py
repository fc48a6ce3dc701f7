"""Puts claims about supervised contrastive learning to the test, and writes their verdicts.

  keras-supcon claims --tier=small --data_dir=build/tfds --output_dir=build/claims/small
  keras-supcon claims --tier=small --claims=temperature,out_and_in --data_dir=build/tfds \\
      --output_dir=build/claims/small

Each claim is an experiment of several arms and five seeds that was declared before it ran. Results
are kept: a run that was killed goes on by the same command. The data sets are those of
`make datasets`.
"""

from __future__ import annotations

import argparse

from keras_supcon.evaluation.results import as_text
from keras_supcon.experiments.claims import TIERS, Claims, ClaimsSettings
from keras_supcon.experiments.claims.document import outcome_rows

HELP = "re-test the claims of the paper"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument(
        "--tier",
        default="small",
        choices=tuple(TIERS),
        help="cost: small for two cores, full for an accelerator (default: %(default)s)",
    )
    parser.add_argument("--claims", help="names, separated by commas (default: all)")
    parser.add_argument("--data_dir", metavar="FOLDER", help="folder of TFDS data sets")
    parser.add_argument(
        "--output_dir", required=True, metavar="FOLDER", help="folder for single trainings"
    )
    parser.add_argument(
        "--report_dir", metavar="FOLDER", help="folder for the report (default: --output_dir)"
    )
    parser.add_argument(
        "--document",
        metavar="FILE",
        help="Markdown file that gets all results between its marks, once no claim is left",
    )
    parser.add_argument("--verdicts", metavar="FILE", help="the same for the short table")
    parser.add_argument(
        "--arms",
        metavar="FILE",
        help="Markdown file that gets the tables of single claims, between marks of their names",
    )
    parser.add_argument(
        "--processes", type=int, help="trainings at the same time (default: that of the tier)"
    )
    parser.add_argument(
        "--minutes",
        type=float,
        help="begin no training after so many, and go on by the same command; 0 reads the images "
        "alone, which then serve a Python without TensorFlow",
    )


def run(given: argparse.Namespace) -> int:
    """Runs the command, and returns its exit code: 0 if no claim is left."""
    options = {name: value for name, value in vars(given).items() if name != "command"}
    if given.claims is not None:
        options["claims"] = tuple(filter(None, given.claims.replace(" ", "").split(",")))
    claims = Claims(ClaimsSettings(**options))
    outcomes = claims.run()
    if outcomes:
        print(as_text([_for_terminal(row) for row in outcome_rows(outcomes)]))
    if given.minutes == 0:
        print("The images are there.")
        return 0
    left = len(claims.claims) - len(outcomes)
    if left:
        print(f"Claims left: {left} of {len(claims.claims)}. The same command goes on.")
    return 1 if left else 0


def _for_terminal(row: dict[str, str]) -> dict[str, str]:
    """Returns a row without what is long: published figures and what was computed."""
    short = {name: text for name, text in row.items() if name != "published"}
    return short if row["seconds"] != "-" else {**short, "here": "see the report"}
