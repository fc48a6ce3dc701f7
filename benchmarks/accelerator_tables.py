"""Markdown tables of the results of `benchmarks/accelerator.py`."""

import json
import pathlib
import re
import textwrap
from collections.abc import Callable
from typing import Any

from accelerator_plan import LOSSES, SECTIONS
from augmentation_implementations import RECIPES
from harness import format_seconds, markdown_table
from loss_implementations import DIM, NUM_CLASSES, NUM_VIEWS

BEGIN = "<!-- Begin of the tables that benchmarks/accelerator.py writes. -->"
END = "<!-- End of the tables that benchmarks/accelerator.py writes. -->"
NOTHING_MEASURED = "No accelerator has been measured yet."
LONGEST_NOTE = 60
# Largest relative deviation from the first implementation, with float32 products.
TOLERANCES = {"loss": 1e-4, "gradient_norm": 1e-3}

Record = dict[str, Any]


def slug(device: str) -> str:
    """Returns the name of a device as part of a file name.

    >>> slug("NVIDIA H100 80GB HBM3")
    'nvidia-h100-80gb-hbm3'
    """
    return "-".join(re.findall(r"[a-z0-9]+", device.lower()))


def write_document(path: pathlib.Path, results_dir: pathlib.Path) -> None:
    """Replaces the text between the two markers of a document by the tables of a folder.

    Trials are left out.
    """
    text = path.read_text()
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise ValueError(f"{path} should hold each of the two markers once: {BEGIN!r} and {END!r}")
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    measured = [json.loads(file.read_text()) for file in sorted(results_dir.glob("*.json"))]
    parts = [format_results(results) for results in measured if not results["is_trial"]]
    path.write_text(
        f"{before}{BEGIN}\n\n" + "\n\n".join(parts or [NOTHING_MEASURED]) + f"\n\n{END}{after}"
    )


def format_results(results: dict[str, Any]) -> str:
    """Returns the heading, the facts and the tables of one device."""
    parts = [f"## {results['device']['name']}", format_facts(results)]
    for section in SECTIONS:
        if section in results["sections"]:
            parts.append(format_section(section, results["sections"][section]["measurements"]))
    return "\n\n".join(parts)


def format_facts(results: dict[str, Any]) -> str:
    frameworks = results["device"]["frameworks"]
    versions = {}
    for facts in frameworks.values():
        versions |= facts.get("versions", {})
    facts = [
        f"{framework}: {facts.get('runtime') or facts['note']}"
        for framework, facts in frameworks.items()
    ]
    if "driver" in results["device"]:
        facts.append(f"driver {results['device']['driver']}")
    if "memory_gb" in results["device"]:
        facts.append(f"{results['device']['memory_gb']:.0f} GB")
    if versions:
        facts.append(", ".join(f"{package} {version}" for package, version in versions.items()))
    facts.append(f"{results['machine']['cores']} cores of {results['machine']['cpu']}")
    dates = sorted({section["date"][:10] for section in results["sections"].values()})
    return (f"Measured {' and '.join(dates)}. " if dates else "") + f"{'; '.join(facts)}."


def format_section(section: str, records: list[Record]) -> str:
    tables = {
        "loss": format_loss,
        "training_step": format_training_step,
        "augmentation": format_augmentation,
        "gradient_caching": format_gradient_caching,
    }
    return tables[section](records)


def format_loss(records: list[Record]) -> str:
    """Returns a table of times for each precision, and one of memory.

    The columns are the numbers of rows.
    """
    at = {
        (record["implementation"], record["rows"], record["precision"]): record
        for record in records
    }
    names = [name for name in LOSSES if any(record["implementation"] == name for record in records)]

    def table(precision: str, cell: Callable[[Record, Record], str]) -> str:
        all_rows = sorted(
            {record["rows"] for record in records if record["precision"] == precision}
        )
        lines = []
        for name in names:
            of_name = [at.get((name, rows, precision), {}) for rows in all_rows]
            references = [at.get((names[0], rows, precision), {}) for rows in all_rows]
            cells = [
                cell(record, reference)
                for record, reference in zip(of_name, references, strict=True)
            ]
            lines.append([LOSSES[name].label, *cells])
        return markdown_table(["implementation", *(f"{rows:,}" for rows in all_rows)], lines)

    def time(record: Record, reference: Record) -> str:
        if "median_seconds" not in record:
            return format_note(record)
        text = format_seconds(record["median_seconds"])
        if record is reference or "median_seconds" not in reference:
            return text
        return f"{text} ({record['median_seconds'] / reference['median_seconds']:.1f}x)"

    parts = [
        f"### Loss and gradient: {DIM} dimensions, {NUM_VIEWS} views, {NUM_CLASSES} classes; "
        "columns are rows, views x batch"
    ]
    titles = {
        "float32": "Median time (times the first row), float32 products",
        "tf32": "The same, TF32 products",
    }
    for precision, title in titles.items():
        if any(record["precision"] == precision for record in records):
            parts += [f"{title}:", table(precision, time)]
    parts += [
        "Peak memory beyond the inputs:",
        table("float32", lambda record, _: format_memory(record)),
    ]
    parts.append(format_agreement(records))
    return "\n\n".join(parts)


def deviations(records: list[Record]) -> list[tuple[Record, dict[str, float]]]:
    """Returns the relative deviation of each record of the loss from the first one.

    Only those with float32 products count.
    """
    measured = [
        record for record in records if record["precision"] == "float32" and "loss" in record
    ]
    pairs = []
    for record in measured:
        reference = next(other for other in measured if other["rows"] == record["rows"])
        if record is not reference:
            far = {
                name: abs(record[name] - reference[name]) / abs(reference[name])
                for name in TOLERANCES
            }
            pairs.append((record, far))
    return pairs


def disagreements(records: list[Record]) -> list[str]:
    """Returns a sentence for each implementation that computes something else than the first.

    Its times mean nothing.
    """
    sentences = []
    for record, far in deviations(records):
        for name, deviation in far.items():
            if not deviation <= TOLERANCES[name]:  # NaN is wrong too
                where = f"{LOSSES[record['implementation']].label}, {record['rows']:,} rows"
                sentences.append(f"{where}: the {name.replace('_', ' ')} is off by {deviation:.1e}")
    return sentences


def format_agreement(records: list[Record]) -> str:
    wrong = disagreements(records)
    if wrong:
        return f"**Not the same loss**: {'; '.join(wrong)}."
    pairs = deviations(records)
    if not pairs:
        return "Nothing to compare the loss with."
    loss, norm = (max(far[name] for _, far in pairs) for name in TOLERANCES)
    return (
        f"With float32 products all give the same loss to {loss:.0e} and the same norm of the "
        f"gradient to {norm:.0e}."
    )


def format_training_step(records: list[Record]) -> str:
    """Returns a table with a line for each encoder and dtype."""
    lines = []
    encoders = list(dict.fromkeys(record["encoder"] for record in records))
    for encoder in encoders:
        of_encoder = [record for record in records if record["encoder"] == encoder]
        for dtype in dict.fromkeys(
            record["dtype"] for record in of_encoder if record["part"] != "loss"
        ):
            found = {
                (record["framework"], record["part"]): record
                for record in of_encoder
                if record["dtype"] == dtype
            }
            whole = found.get(("jax", "step"), {})
            given = found.get(("jax", "step on given views"), {})
            peer = found.get(("torch", "step on given views"), {})
            # The loss is float32 for every dtype of the encoder.
            loss = next((record for record in of_encoder if record["part"] == "loss"), {})
            lines.append(
                [
                    encoder,
                    dtype,
                    f"{of_encoder[0]['batch_size']:,}",
                    format_rate(whole),
                    format_rate(given),
                    format_rate(peer),
                    ratio(peer, given, lambda slower: f"{slower:.2f}"),
                    ratio(given, whole, lambda without: f"{max(1 - without, 0):.1%}"),
                    ratio(loss, whole, lambda share: f"{share:.1%}"),
                ]
            )
    header = [
        "encoder",
        "dtype",
        "batch",
        "images/s",
        "on given views",
        "torch on given views",
        "times eager torch",
        "augmentation",
        "loss",
    ]
    return "\n\n".join(
        [
            "### Training step: two views of each image, encoder, head, SupCon, backward pass, SGD",
            markdown_table(header, lines, num_left=2),
        ]
    )


def ratio(part: Record, whole: Record, show: Callable[[float], str]) -> str:
    """Returns `show` of the quotient of two times, or an empty string without one of them."""
    if "median_seconds" not in part or "median_seconds" not in whole:
        return ""
    return show(part["median_seconds"] / whole["median_seconds"])


def format_augmentation(records: list[Record]) -> str:
    """Returns a table of images per second: recipes by sizes and frameworks."""
    sizes = sorted(
        {(record["image_size"], record["input_size"], record["batch_size"]) for record in records}
    )
    columns = [(size, framework) for size in sizes for framework in ("jax", "torch")]
    at = {
        (
            record["recipe"],
            (record["image_size"], record["input_size"], record["batch_size"]),
            record["framework"],
        ): record
        for record in records
    }
    lines = [
        [RECIPES[recipe], *(format_rate(at.get((recipe, *column), {})) for column in columns)]
        for recipe in dict.fromkeys(record["recipe"] for record in records)
    ]
    names = {"jax": "JAX, jit", "torch": "torch"}
    header = [
        "recipe",
        *(
            f"{size[0]} px from {size[1]}, batch {size[2]:,}, {names[name]}"
            for size, name in columns
        ),
    ]
    return "\n\n".join(
        ["### Augmentation: images per second, one view", markdown_table(header, lines)]
    )


def format_gradient_caching(records: list[Record]) -> str:
    """Returns a table of the plain step and the one with micro-batches, by batch."""
    plain = {
        record["batch_size"]: record for record in records if record["micro_batch_size"] is None
    }
    lines = []
    for record in sorted(
        records, key=lambda record: (record["batch_size"], record["micro_batch_size"] or 0)
    ):
        batch_size, micro_batch_size = record["batch_size"], record["micro_batch_size"]
        name = f"micro-batches of {micro_batch_size:,}" if micro_batch_size else "plain"
        seconds = (
            format_seconds(record["median_seconds"])
            if "median_seconds" in record
            else format_note(record)
        )
        times_plain = ratio(record, plain.get(batch_size, {}), lambda times: f"{times:.2f}")
        lines.append(
            [
                f"{batch_size:,}",
                name,
                seconds,
                times_plain,
                format_memory(record),
                format_rate(record, ""),
            ]
        )
    header = ["batch", "step", "median time", "times plain", "extra memory", "images/s"]
    return "\n\n".join(
        [
            f"### Gradient caching: {records[0]['encoder']}, on JAX, float32",
            markdown_table(header, lines, num_left=2),
        ]
    )


def format_rate(record: Record, otherwise: str | None = None) -> str:
    """Returns the images per second of a record; else its note, unless `otherwise` is given."""
    if "median_seconds" not in record:
        return format_note(record) if otherwise is None else otherwise
    rate = record["batch_size"] / record["median_seconds"]
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}"


def format_note(record: Record) -> str:
    """Returns the note of a record, cut to the length of a cell."""
    return textwrap.shorten(record.get("note", ""), width=LONGEST_NOTE, placeholder="...").replace(
        "|", "/"
    )


def format_memory(record: Record) -> str:
    if "extra_memory_mb" not in record:
        return ""
    bound = "<= " if record.get("extra_memory_is_bound") else ""
    return f"{bound}{record['extra_memory_mb']:,.0f} MB"
