"""The pictures of a report, as matplotlib figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_POINTS = 2000  # t-SNE takes seconds up to here, minutes for a whole test set
_MOST_NAMED_CLASSES = 20


def draw_curves(histories: Mapping[str, Mapping[str, Sequence[float]]]) -> Figure:
    """Draws the loss and, where there is one, the accuracy of every training stage against the epoch."""
    figure = _figure(4.2 * len(histories), 5.6)
    axes = figure.subplots(2, len(histories), squeeze=False)
    for column, (stage, history) in enumerate(histories.items()):
        for row, kind in enumerate(("loss", "accuracy")):
            _draw_metric(axes[row, column], history, kind)
        axes[0, column].set_title(stage)
    return figure


def _draw_metric(axes: Axes, history: Mapping[str, Sequence[float]], kind: str) -> None:
    for name, values in history.items():
        if name.removeprefix("val_") == kind:
            is_test = name.startswith("val_")
            epochs = np.arange(1, len(values) + 1)
            axes.plot(epochs, values, marker=".", color="C1" if is_test else "C0", label="test" if is_test else "training")
    if not axes.lines:
        axes.axis("off")
        return
    axes.set_xlabel("epoch")
    axes.set_ylabel(kind)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)


def draw_embedding_map(embeddings: np.ndarray, labels: np.ndarray, class_names: Sequence[str], seed: int = 0) -> Figure:
    """Draws at most 2,000 embeddings in two dimensions (t-SNE on cosine distance), coloured by class."""
    from matplotlib import colormaps
    from sklearn.manifold import TSNE

    chosen = np.random.default_rng(seed).permutation(len(embeddings))[:_MOST_POINTS]
    embeddings, labels = embeddings[chosen], labels[chosen]
    norms = np.linalg.norm(embeddings, axis=1, keepdims=True)
    perplexity = min(30, max(1, (len(embeddings) - 1) / 3))
    points = TSNE(init="pca", perplexity=perplexity, random_state=seed).fit_transform(embeddings / np.maximum(norms, 1e-12))
    figure = _figure(8.6, 6.4)
    axes = figure.subplots()
    classes = np.unique(labels)
    palette = colormaps["tab10" if len(class_names) <= 10 else "tab20" if len(class_names) <= 20 else "turbo"]
    for label in classes:
        members = labels == label
        colour = palette(int(label)) if len(class_names) <= 20 else palette(label / (len(class_names) - 1))
        axes.scatter(*points[members].T, s=9, color=colour, label=class_names[label], linewidths=0)
    if len(classes) <= _MOST_NAMED_CLASSES:
        axes.legend(frameon=False, markerscale=3, loc="center left", bbox_to_anchor=(1, 0.5))
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_aspect("equal")
    for side in axes.spines.values():
        side.set_visible(False)
    return figure


def draw_confusion(labels: np.ndarray, predictions: np.ndarray, class_names: Sequence[str]) -> Figure:
    """Draws how the images of each true class (rows, in percent) were classified (columns)."""
    from sklearn.metrics import confusion_matrix

    number = len(class_names)
    counts = confusion_matrix(labels, predictions, labels=np.arange(number))
    percent = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    named = number <= _MOST_NAMED_CLASSES
    figure = _figure(*(2 * [2.2 + 0.52 * number] if named else (8, 8)))
    axes = figure.subplots()
    axes.imshow(percent, cmap="Blues", vmin=0, vmax=100)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    if named:
        axes.set_xticks(range(number), class_names, rotation=45, ha="right")
        axes.set_yticks(range(number), class_names)
        for row, column in np.argwhere(percent >= 0.05):
            value = percent[row, column]
            colour = "white" if value > 50 else "black"
            axes.text(column, row, f"{value:.1f}", ha="center", va="center", fontsize=8, color=colour)
    return figure


def draw_views(images: np.ndarray, views: np.ndarray) -> Figure:
    """Draws images (0..255) beside their augmented views ([0, 1]), a row for each image."""
    rows, columns = views.shape[0], views.shape[1] + 1
    figure = _figure(1.3 * columns, 1.3 * rows + 0.3)
    axes = figure.subplots(rows, columns, squeeze=False)
    for row in range(rows):
        for column, picture in enumerate((images[row] / 255.0, *views[row])):
            axes[row, column].imshow(picture, cmap="gray", vmin=0, vmax=1)
            axes[row, column].axis("off")
    axes[0, 0].set_title("image", fontsize=9)
    for column in range(1, columns):
        axes[0, column].set_title(f"view {column}", fontsize=9)
    return figure


def _figure(width: float, height: float) -> Figure:
    # Not pyplot: that would pick a window system and keep every figure in memory.
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")
