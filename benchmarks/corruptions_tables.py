"""The images of the benchmark of corruptions, and its tables."""

from typing import Any

import numpy as np
from harness import markdown_table

from keras_supcon.evaluation.corruptions import CORRUPTIONS, EXTRA_CORRUPTIONS

# Side in pixels, number of images in a call.
SIZES = {32: 512, 224: 16}
IMAGES_OF_A_SET = 10_000


def pieces_of_photographs(number: int, side: int, channels: int) -> np.ndarray:
    """Returns different squares of two photographs, uint8 `(number, side, side, channels)`."""
    from PIL import Image
    from sklearn.datasets import load_sample_images

    photographs = [Image.fromarray(image) for image in load_sample_images().images]
    random = np.random.default_rng(0)
    pieces = []
    for i in range(number):
        photograph = photographs[i % len(photographs)]
        width, height = photograph.size
        edge = int(random.integers(height // 2, height))
        left, top = (int(random.integers(length - edge)) for length in (width, height))
        box = (left, top, left + edge, top + edge)
        piece = photograph.resize((side, side), Image.Resampling.BICUBIC, box=box)
        pieces.append(np.asarray(piece if channels == 3 else piece.convert("L")))
    return np.stack(pieces).reshape(number, side, side, channels)


def rate(answer: dict[str, Any] | None, name: str, clock: str = "cpu_seconds") -> float | None:
    if answer is None or "note" in answer:
        return None
    window = answer["measured"][name]
    return window["images"] / window[clock]


def format_rates(results: dict[str, dict[str, Any]]) -> str:
    """Returns the table of rates: ours, the peer's and their ratio for each size."""
    columns = []
    for size in SIZES:
        columns += [f"{size} px", "peer", "times"]
    rows = []
    for name in (*CORRUPTIONS, *EXTRA_CORRUPTIONS):
        row = [name]
        for of_size in results.values():
            ours, peer = (rate(of_size.get(key), name) for key in ("ours", "peer"))
            ratio = f"{ours / peer:.1f}" if ours and peer else ""
            row += [f"{ours:,.0f}" if ours else "", f"{peer:,.0f}" if peer else "", ratio]
        rows.append(row)
    return markdown_table(["corruption", *columns], rows)


def format_sets(sets: dict[str, dict[int, dict[str, Any]]]) -> str:
    """Returns the table of times for 15 corruptions, 5 severities and 10,000 images each."""
    rows = []
    for label, of_threads in sets.items():
        row = [f"15 x 5 x {IMAGES_OF_A_SET:,} images of {label}"]
        for answer in of_threads.values():
            if "note" in answer:
                row.append(answer["note"])
                continue
            rates = [rate(answer, name, "seconds") for name in CORRUPTIONS]
            row.append(f"{sum(5 * IMAGES_OF_A_SET / one for one in rates):.0f} s")
        rows.append(row)
    threads = next(iter(sets.values()))
    return markdown_table(["set", *(f"{n} thread{'s' if n > 1 else ''}" for n in threads)], rows)
