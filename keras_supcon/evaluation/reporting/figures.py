"""The pictures of a report, as matplotlib figures.

`narrow` draws a picture for a phone: as wide as its screen, with legible letters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from keras_supcon.evaluation.reporting.names import draw_names
from keras_supcon.seeds import random_generator

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_POINTS = 2000  # t-SNE takes seconds up to here, minutes for a whole test set
MOST_NAMED_CLASSES = 20
NARROW_WIDTH = 3.9  # inches: a phone at the resolution of the report


def draw_curves(
    histories: Mapping[str, Mapping[str, Sequence[float]]], narrow: bool = False
) -> Figure:
    """Draws the loss and, where recorded, the accuracy of every training stage by epoch."""
    names = draw_names(list(histories))
    titles = dict(zip(histories, names.texts, strict=True))
    if narrow:
        panels = [
            (stage, kind)
            for stage, history in histories.items()
            for kind in ("loss", "accuracy")
            if _has_metric(history, kind)
        ]
        figure = new_figure(NARROW_WIDTH, 2.5 * max(len(panels), 1))
        for axes, (stage, kind) in zip(
            figure.subplots(len(panels), 1, squeeze=False).flat, panels, strict=True
        ):
            _draw_metric(axes, histories[stage], kind)
            axes.set_title(titles[stage], **names.properties)
        return figure
    figure = new_figure(4.2 * len(histories), 5.6)
    axes = figure.subplots(2, len(histories), squeeze=False)
    for column, (stage, history) in enumerate(histories.items()):
        for row, kind in enumerate(("loss", "accuracy")):
            _draw_metric(axes[row, column], history, kind)
        axes[0, column].set_title(titles[stage], **names.properties)
    return figure


def _has_metric(history: Mapping[str, Sequence[float]], kind: str) -> bool:
    return any(name.removeprefix("val_") == kind for name in history)


def _draw_metric(axes: Axes, history: Mapping[str, Sequence[float]], kind: str) -> None:
    for name, values in history.items():
        if name.removeprefix("val_") == kind:
            is_test = name.startswith("val_")
            epochs = np.arange(1, len(values) + 1)
            axes.plot(
                epochs,
                values,
                marker=".",
                color="C1" if is_test else "C0",
                label="test" if is_test else "training",
            )
    if not _has_metric(history, kind):
        axes.axis("off")
        return
    axes.set_xlabel("epoch")
    axes.set_ylabel(kind)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)


def place_embeddings(
    embeddings: np.ndarray, labels: np.ndarray, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Maps at most 2,000 embeddings to two dimensions by t-SNE on cosine distance.

    Returns:
        `(points, labels)`: `(n, 2)`, and the labels of the chosen embeddings.
    """
    from sklearn.manifold import TSNE

    chosen = random_generator(seed).permutation(len(embeddings))[:_MOST_POINTS]
    embeddings, labels = embeddings[chosen], labels[chosen]
    norms = np.linalg.norm(embeddings, axis=1, keepdims=True)
    if len(embeddings) < 2:  # t-SNE needs two
        return np.zeros((len(embeddings), 2)), labels
    perplexity = min(30, max(1, (len(embeddings) - 1) / 3))
    init = "pca" if embeddings.shape[1] > 1 else "random"
    points = TSNE(init=init, perplexity=perplexity, random_state=seed % 2**32).fit_transform(
        embeddings / np.maximum(norms, 1e-12)
    )
    return points, labels


def draw_embedding_map(
    points: np.ndarray, labels: np.ndarray, class_names: Sequence[str], narrow: bool = False
) -> Figure:
    """Draws points `(n, 2)`, colored by class."""
    from matplotlib import colormaps

    figure = new_figure(*((NARROW_WIDTH, 4.6) if narrow else (8.6, 6.4)))
    axes = figure.subplots()
    classes = np.unique(labels)
    names = draw_names(class_names)
    palette = colormaps[
        "tab10" if len(class_names) <= 10 else "tab20" if len(class_names) <= 20 else "turbo"
    ]
    for label in classes:
        members = labels == label
        color = (
            palette(int(label))
            if len(class_names) <= 20
            else palette(label / (len(class_names) - 1))
        )
        axes.scatter(*points[members].T, s=9, color=color, label=str(label), linewidths=0)
    if len(classes) <= MOST_NAMED_CLASSES:
        if narrow:
            columns = max(1, 36 // (6 + max(map(len, names.texts))))
            legend = figure.legend(
                frameon=False,
                markerscale=3,
                loc="outside lower center",
                ncols=columns,
                columnspacing=1,
            )
        else:
            legend = figure.legend(frameon=False, markerscale=3, loc="outside right center")
        # Here, since the legend would skip labels that begin with `_`.
        for text, label in zip(legend.get_texts(), classes, strict=True):
            text.set(text=names.texts[label], **names.properties)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_aspect("equal")
    for side in axes.spines.values():
        side.set_visible(False)
    return figure


def draw_confusion(
    labels: np.ndarray, predictions: np.ndarray, class_names: Sequence[str], narrow: bool = False
) -> Figure:
    """Draws how the images of each true class (rows, in percent) were classified (columns)."""
    from sklearn.metrics import confusion_matrix

    number = len(class_names)
    counts = confusion_matrix(labels, predictions, labels=np.arange(number))
    percent = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    named = number <= MOST_NAMED_CLASSES
    figure = new_figure(
        *(2 * [NARROW_WIDTH] if narrow else 2 * [2.2 + 0.52 * number] if named else (8, 8))
    )
    axes = figure.subplots()
    axes.imshow(percent, cmap="Blues", vmin=0, vmax=100)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    if named:
        names = draw_names(class_names)
        axes.set_xticks(range(number), names.texts, rotation=45, ha="right", **names.properties)
        axes.set_yticks(range(number), names.texts, **names.properties)
        if narrow and number > MOST_NAMED_CLASSES // 2:
            return figure  # no room for numbers
        for row, column in np.argwhere(percent >= (0.5 if narrow else 0.05)):
            value = percent[row, column]
            color = "white" if value > 50 else "black"
            text = f"{value:.0f}" if narrow else f"{value:.1f}"
            axes.text(column, row, text, ha="center", va="center", fontsize=8, color=color)
    return figure


def draw_views(images: np.ndarray, views: np.ndarray, narrow: bool = False) -> Figure:
    """Draws images beside their augmented views, a row per image; both in 0..255 or [0, 1]."""
    images, views = _in_unit_range(images), _in_unit_range(views[:, :3] if narrow else views)
    rows, columns = views.shape[0], views.shape[1] + 1
    side = NARROW_WIDTH / columns if narrow else 1.3
    figure = new_figure(side * columns, side * rows + 0.3)
    axes = figure.subplots(rows, columns, squeeze=False)
    for row in range(rows):
        for column, picture in enumerate((images[row], *views[row])):
            axes[row, column].imshow(picture, cmap="gray", vmin=0, vmax=1)
            axes[row, column].axis("off")
    axes[0, 0].set_title("image", fontsize=9)
    for column in range(1, columns):
        axes[0, column].set_title(f"view {column}", fontsize=9)
    return figure


def _in_unit_range(pixels: np.ndarray) -> np.ndarray:
    is_in_it = pixels.dtype != np.uint8 and pixels.max(initial=0) <= 1
    return pixels if is_in_it else pixels / 255.0


def new_figure(width: float, height: float) -> Figure:
    """Returns an empty figure of a size in inches."""
    # Not pyplot: that would pick a window system and keep every figure in memory.
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")
