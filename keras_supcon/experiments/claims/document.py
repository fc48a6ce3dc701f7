"""Writes what was found of claims: a report with pictures, and tables within documents."""

from __future__ import annotations

import os
import pathlib
import re
from collections.abc import Iterable, Mapping, Sequence

from keras_supcon.evaluation import Report
from keras_supcon.experiments.claims.outcome import (
    Compared,
    Outcome,
    comparison_name,
    mean_text,
)
from keras_supcon.experiments.claims.pictures import draw_outcome, draw_verdicts
from keras_supcon.experiments.claims.tier import Tier
from keras_supcon.experiments.comparison_table import markdown_table
from keras_supcon.files import whole_file

_READING = (
    "Each difference is the mean over seeds, paired: both arms have the same first weights of the "
    "encoder, images and order. In brackets is Student's 95% interval of the mean. A comparison "
    "holds if the interval is where it was expected, is contradicted if it is outside of that, and "
    "is not shown otherwise. Of several comparisons the table has the first one that has the "
    "verdict of all. Numbers are in points (hundredths), unless it says otherwise. Seconds are "
    "those of all trainings and measurements of a claim, also of those that it shares and those "
    "that choose learning rates."
)

_PICTURE = (
    "A row is the difference that decided a claim: the mean with its interval, and a dot for each "
    "seed. Gray is where the claim expects it. Green claims hold, red ones are contradicted."
)
_VERDICTS = "verdicts"


def outcome_rows(outcomes: Sequence[Outcome]) -> list[dict[str, str]]:
    """Returns the table of verdicts, a row for each claim.

    Of several comparisons it has the first one with the verdict of all.
    """
    rows = []
    for one in outcomes:
        decisive = one.decisive
        rows.append(
            {
                "claim": one.claim.title,
                "published": one.claim.published,
                "here": decisive.text if decisive else one.exact.statement,
                "verdict": one.verdict,
                "seconds": f"{one.seconds:,.0f}" if decisive else "-",
            }
        )
    return rows


def comparison_rows(outcome: Outcome) -> list[dict[str, str]]:
    """Returns the table of a claim, a row for each comparison."""
    return [
        {
            "compared": comparison_name(one),
            "expected": _expectation(one),
            "difference": one.text,
            "seeds above zero": f"{one.difference.num_positive} of "
            f"{len(one.difference.differences)}",
            "verdict": one.verdict,
        }
        for one in outcome.compared
    ]


def arm_rows(outcome: Outcome) -> list[dict[str, str]]:
    """Returns the numbers of the arms of a claim, mean and standard deviation over seeds."""
    columns = list(dict.fromkeys(name for arm in outcome.arms.values() for name in arm))
    return [
        {
            "arm": arm,
            **{
                name.replace("_", " "): mean_text(name, numbers[name]) if name in numbers else "-"
                for name in columns
            },
            "learning rate": outcome.learning_rates[arm],
        }
        for arm, numbers in outcome.arms.items()
    ]


def _expectation(compared: Compared) -> str:
    one = compared.comparison
    return {
        "higher": "above 0",
        "lower": "below 0",
        "equal": f"within {100 * one.margin:g}",
        "not lower": f"above -{100 * one.margin:g}",
    }[one.expected]


def write_report(
    outcomes: Sequence[Outcome], tier: Tier, folder: str | os.PathLike[str]
) -> pathlib.Path:
    """Writes the report of all claims, with a picture of each.

    Args:
        outcomes: What was found.
        tier: The tier.
        folder: Folder of the report.

    Returns:
        The path of report.html.
    """
    report = Report(f"Claims about supervised contrastive learning, {tier.name} tier")
    report.add_text(f"{tier.description}\n\n{_READING}")
    report.add_table(outcome_rows(outcomes), "Verdicts")
    if any(one.compared for one in outcomes):
        report.add_figure(lambda narrow: draw_verdicts(outcomes, narrow), _PICTURE, name=_VERDICTS)
    for outcome in outcomes:
        claim = outcome.claim
        report.add_text(
            f"{claim.source}: {claim.published}.\n\nExpected before the run: {claim.expectation}"
            + (f"\n\nEqual between the arms: {claim.equal}" if claim.equal else ""),
            heading=claim.title,
        )
        if outcome.exact is not None:
            report.add_text(f"{outcome.verdict}: {outcome.exact.statement}")
        else:
            report.add_table(comparison_rows(outcome))
            report.add_table(arm_rows(outcome), caption="Mean +- standard deviation over seeds.")
        report.add_figure(
            lambda narrow, outcome=outcome: draw_outcome(outcome, narrow),
            f"{claim.title}: {outcome.verdict}.",
            name=outcome.name,
        )
    return report.write(folder)


def document_text(outcomes: Sequence[Outcome], tier: Tier, figures: str) -> str:
    """Returns what was found as Markdown, with the pictures of the report.

    Args:
        outcomes: What was found.
        tier: The tier.
        figures: Where a document finds the folder of pictures.
    """
    parts = [tier.description, _READING, markdown_table(outcome_rows(outcomes))]
    if any(one.compared for one in outcomes):
        parts += [f"![Differences and verdicts]({figures}/{_VERDICTS}.png)", _PICTURE]
    for outcome in outcomes:
        claim = outcome.claim
        parts += [
            f"### {claim.title}: {outcome.verdict}",
            f"{claim.source}: {claim.published}.",
            f"*Expected before the run:* {claim.expectation}",
        ]
        if claim.equal:
            parts.append(f"*Equal between the arms:* {claim.equal}")
        if outcome.exact is not None:
            parts.append(outcome.exact.statement)
        else:
            parts += [markdown_table(comparison_rows(outcome)), markdown_table(arm_rows(outcome))]
        parts.append(f"![{claim.title}]({figures}/{outcome.name}.png)")
    return "\n\n".join(parts)


def short_text(outcomes: Sequence[Outcome]) -> str:
    """Returns the table of the prominent claims as Markdown."""
    rows = outcome_rows([one for one in outcomes if one.claim.is_prominent])
    columns = ("claim", "here", "verdict")
    return markdown_table([{name: row[name] for name in columns} for row in rows])


def write_between(path: pathlib.Path, name: str, text: str) -> None:
    """Replaces what is between two marks in a document, whole or not at all.

    Args:
        path: The document.
        name: Name of the marks, `<!-- begin NAME -->` and `<!-- end NAME -->`.
        text: What is to be there.

    Raises:
        ValueError: If the marks are not there once each.
    """
    content = check_marks(path, name)
    begin, end, pattern = _marks(name)
    with whole_file(path) as unfinished:
        unfinished.write_text(
            pattern.sub(lambda _: f"{begin}\n\n{text}\n\n{end}", content), encoding="utf-8"
        )


def named_marks(path: str | os.PathLike[str], names: Iterable[str]) -> list[str]:
    """Returns those names whose marks a document has; none if there is no such file."""
    path = pathlib.Path(path)
    content = path.read_text(encoding="utf-8") if path.is_file() else ""
    return [name for name in names if _marks(name)[0] in content]


def write_arms(outcomes: Sequence[Outcome], path: pathlib.Path) -> None:
    """Writes the tables of the arms of those claims that have marks in a document.

    Args:
        outcomes: What was found.
        path: The document.
    """
    by_name = {one.name: one for one in outcomes}
    for name in named_marks(path, by_name):
        outcome = by_name[name]
        parts = [
            markdown_table(arm_rows(outcome)),
            "Means over seeds with their standard deviations. Differences, seed by seed, with "
            "their 95% intervals:",
            markdown_table(comparison_rows(outcome)),
        ]
        write_between(path, name, "\n\n".join(parts))


def check_marks(path: pathlib.Path, name: str) -> str:
    """Checks that a document has the marks that `write_between` needs, and returns it.

    Args:
        path: The document.
        name: Name of the marks.

    Raises:
        ValueError: If they are not there once each, or there is no such file.
    """
    begin, end, pattern = _marks(name)
    content = path.read_text(encoding="utf-8") if path.is_file() else ""
    if len(pattern.findall(content)) != 1:
        raise ValueError(
            f"A document should have {begin} and {end} once. Received: {os.fspath(path)!r}"
            + ("" if path.is_file() else ", which is no file")
        )
    return content


def _marks(name: str) -> tuple[str, str, re.Pattern[str]]:
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    return begin, end, re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)


def write_documents(
    outcomes: Sequence[Outcome],
    tier: Tier,
    documents: Mapping[str, pathlib.Path],
    report: pathlib.Path,
) -> None:
    """Writes the tables into documents.

    Args:
        outcomes: What was found.
        tier: The tier.
        documents: Paths of documents by what they get: `"claims"` everything, `"verdicts"` the
            table of the prominent claims.
        report: Folder of the report.
    """
    for name, path in documents.items():
        if name == "verdicts":
            write_between(path, name, short_text(outcomes))
        else:
            figures = os.path.relpath(report / "figures", path.parent)
            write_between(path, name, document_text(outcomes, tier, figures))
