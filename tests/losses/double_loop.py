"""Every loss written out pair by pair in float64, and its gradient.

The functions take projections `(..., batch, views, dim)`, real or complex: a gradient is the
imaginary part of the loss at `z + i h`, which is exact to the last digits because nothing is
subtracted (Squire and Trapp, 1998).
"""

from collections.abc import Callable, Iterator

import numpy as np


class Rows:
    """The rows of a batch, of its keys and of a queue, with their unit vectors; leading axes hold
    several versions of the batch.

    With keys the candidates of an anchor are all keys and the queue, with `own_keys_only` the keys
    of its sample and the queue. Slots of the queue with an id below -1 are no candidates.
    """

    def __init__(
        self,
        class_ids,
        projections,
        normalize=True,
        queue=None,
        queue_ids=None,
        keys=None,
        own_keys_only=False,
        centers=None,
    ):
        rows = _flatten(projections)
        batch, self.views, _ = projections.shape[-3:]
        self.sample = list(np.repeat(np.arange(batch), self.views))
        self.label = list(np.repeat(np.asarray(class_ids, "int64"), self.views))
        self.num_anchors, self.own_keys_only, self.keys = len(rows), own_keys_only, range(0)

        def add(more, samples, labels):
            nonlocal rows
            self.sample, self.label = [*self.sample, *samples], [*self.label, *labels]
            versions = np.broadcast_shapes(rows.shape[1:-1], more.shape[1:-1])
            rows = np.concatenate([_broadcast(rows, versions), _broadcast(more, versions)])

        if keys is not None:
            add(_flatten(keys), self.sample, self.label)
            self.keys = range(self.num_anchors, len(rows))
        if queue is not None:
            ids = [-1] * len(queue) if queue_ids is None else queue_ids
            add(queue, range(batch, batch + len(queue)), ids)
        if centers is not None:
            first = self.sample[-1] + 1
            add(
                _flatten(centers[..., None, :]),
                range(first, first + centers.shape[-2]),
                range(centers.shape[-2]),
            )
        self.candidates = [
            j
            for j in range(0 if keys is None else self.num_anchors, len(rows))
            if self.label[j] >= -1
        ]
        if normalize:
            norm = np.sqrt(np.sum(rows**2, axis=-1, keepdims=True))
            is_zero = np.abs(norm) <= 1e-30
            rows = np.where(is_zero, 0, rows) / np.where(is_zero, 1, norm)
        self.z = rows

    def anchors(self, contrast_mode: str) -> Iterator[int]:
        return (i for i in range(self.num_anchors) if contrast_mode == "all" or i % self.views == 0)

    def is_positive(self, i: int, j: int) -> bool:
        return self.sample[i] == self.sample[j] or (
            self.label[i] == self.label[j] and self.label[i] >= 0
        )

    def split(self, i: int, positives_cap: int | None) -> tuple[list[int], list[int]]:
        """Positives and negatives of a row; positives beyond the limit are neither."""
        others = [
            j
            for j in self.candidates
            if j != i
            and not (self.own_keys_only and j in self.keys and self.sample[j] != self.sample[i])
        ]
        positives = [j for j in others if self.is_positive(i, j)]
        negatives = [j for j in others if not self.is_positive(i, j)]
        if positives_cap is not None:
            samples = dict.fromkeys(
                self.sample[j] for j in positives if self.sample[j] != self.sample[i]
            )
            kept = [self.sample[i], *list(samples)[: positives_cap // self.views]]
            positives = [j for j in positives if self.sample[j] in kept]
        return positives, negatives

    def dot(self, i: int, j: int) -> np.ndarray:
        return np.sum(self.z[i] * self.z[j], axis=-1)

    def squared_distance(self, i: int, j: int) -> np.ndarray:
        return np.sum((self.z[i] - self.z[j]) ** 2, axis=-1)

    def per_sample(self, losses: dict[int, np.ndarray], contrast_mode: str = "all") -> np.ndarray:
        losses = np.stack([losses[i] for i in self.anchors(contrast_mode)], axis=-1)
        return losses.reshape(
            *losses.shape[:-1], -1, self.views if contrast_mode == "all" else 1
        ).mean(axis=-1)


def _flatten(projections: np.ndarray) -> np.ndarray:
    """`(..., batch, views, dim)` to `(batch * views, ..., dim)`."""
    *versions, batch, views, dim = projections.shape
    rows = projections.reshape(*versions, batch * views, dim)
    return np.moveaxis(rows.astype(np.result_type(rows, "float64")), -2, 0)


def _broadcast(rows: np.ndarray, versions: tuple[int, ...]) -> np.ndarray:
    missing = len(versions) - (rows.ndim - 2)
    rows = rows.reshape(len(rows), *[1] * missing, *rows.shape[1:])
    return np.broadcast_to(rows, (len(rows), *versions, rows.shape[-1]))


def _log_sum_exp(values: list[np.ndarray]) -> np.ndarray:
    shift = np.max(np.real(values), axis=0)
    return np.log(sum(np.exp(value - shift) for value in values)) + shift


def supcon(
    class_ids,
    projections,
    temperature=0.1,
    summation="out",
    denominator="all",
    contrast_mode="all",
    positives_cap=None,
    normalize=True,
    **candidates,
) -> np.ndarray:
    """Equations 2 and 3 of Khosla et al. (2020) and the options of their code."""
    rows = Rows(class_ids, projections, normalize, **candidates)
    losses = {}
    for i in rows.anchors(contrast_mode):
        positives, negatives = rows.split(i, positives_cap)
        s = {j: rows.dot(i, j) / temperature for j in positives + negatives}
        losses[i] = np.zeros(rows.z.shape[1:-1], rows.z.dtype)
        if not positives or (denominator == "only_negatives" and not negatives):
            continue
        log_shares = []
        for p in positives:
            members = {
                "all": positives + negatives,
                "one_positive": [p, *negatives],
                "only_negatives": negatives,
            }[denominator]
            log_shares.append(s[p] - _log_sum_exp([s[j] for j in members]))
        if summation == "out":
            losses[i] = -sum(log_shares) / len(positives)
        else:
            losses[i] = np.log(len(positives)) - _log_sum_exp(log_shares)
    return rows.per_sample(losses, contrast_mode)


def weighted_supcon(
    weights,
    projections,
    temperature=0.1,
    summation="out",
    denominator="all",
    contrast_mode="all",
    normalize=True,
    **candidates,
) -> np.ndarray:
    """The same with weights `(batch, batch + queue)` of pairs of samples; those of views of one
    sample are on the diagonal. A pair of samples without weight is a negative.
    """
    rows = Rows([-1] * projections.shape[-3], projections, normalize, **candidates)
    losses = {}
    for i in rows.anchors(contrast_mode):
        others = [j for pairs in rows.split(i, None) for j in pairs]
        w = {j: weights[rows.sample[i]][rows.sample[j]] for j in others}
        s = {j: rows.dot(i, j) / temperature for j in others}
        positives = [j for j in others if w[j] > 0]
        negatives = [j for j in others if w[j] == 0 and rows.sample[j] != rows.sample[i]]
        losses[i] = np.zeros(rows.z.shape[1:-1], rows.z.dtype)
        if not positives or (denominator != "all" and not negatives):
            continue
        log_shares = []
        for p in positives:
            members = {
                "all": others,
                "one_positive": [p, *negatives],
                "only_negatives": negatives,
            }[denominator]
            log_shares.append(s[p] - _log_sum_exp([s[j] for j in members]))
        total = sum(w[p] for p in positives)
        if summation == "out":
            losses[i] = -sum(w[p] * x for p, x in zip(positives, log_shares, strict=True)) / total
        else:
            terms = [np.log(w[p]) + x for p, x in zip(positives, log_shares, strict=True)]
            losses[i] = np.log(total) - _log_sum_exp(terms)
    return rows.per_sample(losses, contrast_mode)


def balanced_supcon(
    class_ids, projections, temperature=0.1, contrast_mode="all", normalize=True, **candidates
) -> np.ndarray:
    """The denominator is a sum over classes of means; a row without a label is one of its sample's
    class.
    """
    rows = Rows(class_ids, projections, normalize, **candidates)
    losses = {}
    for i in rows.anchors(contrast_mode):
        positives, negatives = rows.split(i, None)
        losses[i] = np.zeros(rows.z.shape[1:-1], rows.z.dtype)
        if not positives:
            continue
        s = {j: rows.dot(i, j) / temperature for j in positives + negatives}
        classes = {}
        for j in negatives:
            is_labeled = rows.label[j] >= 0
            name = ("class", rows.label[j]) if is_labeled else ("sample", rows.sample[j])
            classes.setdefault(name, []).append(s[j])
        classes["own"] = [s[j] for j in positives]
        means = [_log_sum_exp(members) - np.log(len(members)) for members in classes.values()]
        losses[i] = _log_sum_exp(means) - sum(s[p] for p in positives) / len(positives)
    return rows.per_sample(losses, contrast_mode)


def constrained_levels(level_losses, level_weights) -> np.ndarray:
    """Losses of samples whose mean is a mean over levels, each with the largest mean loss of the
    level itself and of finer ones.

    Args:
        level_losses: `(levels, ..., batch)`, from coarse to fine.
        level_weights: A number for each level.
    """
    level_losses, total = np.stack(level_losses), 0.0
    means = level_losses.mean(axis=-1)
    for level, weight in enumerate(level_weights):
        chosen = level + np.argmax(np.real(means[level:]), axis=0)
        largest = np.take_along_axis(level_losses, chosen[None, ..., None], axis=0)[0]
        total = total + weight * largest
    return total / sum(level_weights)


def sincere(class_ids, projections, temperature=0.1, epsilon=0.0, normalize=True, **candidates):
    rows = Rows(class_ids, projections, normalize, **candidates)
    losses = {}
    for i in rows.anchors("all"):
        positives, negatives = rows.split(i, None)
        losses[i] = np.zeros(rows.z.shape[1:-1], rows.z.dtype)
        if positives and negatives:
            s = {j: rows.dot(i, j) / temperature for j in positives + negatives}
            losses[i] = sum(
                _log_sum_exp([s[p] - epsilon, *(s[n] for n in negatives)]) - s[p] for p in positives
            ) / len(positives)
    return rows.per_sample(losses)


def spread(
    class_ids,
    projections,
    temperature=0.1,
    spread_weight=0.5,
    denominator="all",
    contrast_mode="all",
    normalize=True,
    **candidates,
) -> np.ndarray:
    """SupCon and the cross-entropy of own views among the rows of their class."""
    rows = Rows(class_ids, projections, normalize, **candidates)
    losses = {}
    for i in rows.anchors(contrast_mode):
        positives, _ = rows.split(i, None)
        s = {j: rows.dot(i, j) / temperature for j in positives}
        own = [j for j in positives if rows.sample[j] == rows.sample[i]]
        losses[i] = _log_sum_exp(list(s.values())) - sum(s[j] for j in own) / len(own)
    of_classes = rows.per_sample(losses, contrast_mode)
    options = {"contrast_mode": contrast_mode, "normalize": normalize, **candidates}
    of_all = supcon(class_ids, projections, temperature, denominator=denominator, **options)
    return (1 - spread_weight) * of_all + spread_weight * of_classes


def ntxent(projections, temperature=0.1, keys=None, **candidates) -> np.ndarray:
    """Cross-entropy of the key in the own place among all keys and the queue."""
    *versions, batch, views, dim = projections.shape
    rows = projections.reshape(*versions, batch * views, 1, dim)
    flat = supcon([-1] * (batch * views), rows, temperature, keys=keys, **candidates)
    return flat.reshape(*flat.shape[:-1], batch, views).mean(axis=-1)


def ntlogistic(
    class_ids,
    projections,
    temperature=0.1,
    normalize=True,
    bias=0.0,
    pair_reduction="mean",
    **candidates,
) -> np.ndarray:
    rows = Rows(class_ids, projections, normalize, **candidates)
    losses = {}
    for i in rows.anchors("all"):
        positives, negatives = rows.split(i, None)
        pull, push = dict.fromkeys(positives, 1.0), negatives
        losses[i] = _logistic(rows, i, pull, push, temperature, bias, pair_reduction)
    return rows.per_sample(losses)


def weighted_ntlogistic(
    weights,
    projections,
    temperature=0.1,
    normalize=True,
    bias=0.0,
    pair_reduction="mean",
    **candidates,
) -> np.ndarray:
    """The same with weights of pairs, as for `weighted_supcon`."""
    rows = Rows([-1] * projections.shape[-3], projections, normalize, **candidates)
    losses = {}
    for i in rows.anchors("all"):
        others = [j for pairs in rows.split(i, None) for j in pairs]
        w = {j: weights[rows.sample[i]][rows.sample[j]] for j in others}
        pull = {j: w[j] for j in others if w[j] > 0}
        push = [j for j in others if w[j] == 0 and rows.sample[j] != rows.sample[i]]
        losses[i] = _logistic(rows, i, pull, push, temperature, bias, pair_reduction)
    return rows.per_sample(losses)


def _logistic(rows, i, pull, push, temperature, bias, pair_reduction) -> np.ndarray:
    """The loss of an anchor, with the weights of its positives and the list of its negatives."""
    zero = np.zeros(np.broadcast_shapes(rows.z.shape[1:-1], np.shape(bias)), rows.z.dtype)
    if not pull:
        return zero

    def softplus(x):
        is_large = np.real(x) > 0
        return np.where(is_large, x, 0) + np.log(1 + np.exp(np.where(is_large, -x, x)))

    logits = {j: rows.dot(i, j) / temperature + bias for j in [*pull, *push]}
    of_positives = sum(w * softplus(-logits[j]) for j, w in pull.items())
    of_negatives = sum((softplus(logits[j]) for j in push), zero)
    if pair_reduction == "sum":
        return of_positives + of_negatives
    return of_positives / sum(pull.values()) + of_negatives / max(len(push), 1)


def max_margin(class_ids, projections, margin=1.0, normalize=True, **candidates) -> np.ndarray:
    """Equation 4 of Hadsell et al. (2006), averaged over the pairs of an anchor."""
    rows = Rows(class_ids, projections, normalize, **candidates)
    losses = {}
    for i in rows.anchors("all"):
        positives, negatives = rows.split(i, None)
        losses[i] = np.zeros(rows.z.shape[1:-1], rows.z.dtype)
        if positives:
            pull = sum(rows.squared_distance(i, j) / 2 for j in positives)
            push = sum(
                _hinge(margin - np.sqrt(rows.squared_distance(i, j))) ** 2 / 2 for j in negatives
            )
            losses[i] = (pull + push) / (len(positives) + len(negatives))
    return rows.per_sample(losses)


def triplet(
    class_ids, projections, margin=1.0, mining="all", normalize=True, **candidates
) -> np.ndarray:
    rows = Rows(class_ids, projections, normalize, **candidates)
    losses = {}
    for i in rows.anchors("all"):
        positives, negatives = rows.split(i, None)
        losses[i] = np.zeros(rows.z.shape[1:-1], rows.z.dtype)
        if not positives or not negatives:
            continue
        d = {j: rows.squared_distance(i, j) for j in positives + negatives}
        if mining == "all":
            terms = [_hinge(d[p] - d[n] + margin) for p in positives for n in negatives]
        elif mining == "hard":
            terms = [
                _hinge(
                    _largest([d[p] for p in positives])
                    + _largest([-d[n] for n in negatives])
                    + margin
                )
            ]
        else:
            terms = []
            for p in positives:
                farther = [
                    np.where(np.real(d[n]) > np.real(d[p]), -d[n], -np.inf) for n in negatives
                ]
                nearest_farther, farthest = _largest(farther), -_largest([d[n] for n in negatives])
                terms.append(
                    _hinge(
                        d[p]
                        + np.where(np.isinf(np.real(nearest_farther)), farthest, nearest_farther)
                        + margin
                    )
                )
        losses[i] = sum(terms) / len(terms)
    return rows.per_sample(losses)


def relation_distillation(
    teacher, student, student_temperature=0.2, teacher_temperature=0.01, normalize=True
) -> np.ndarray:
    """Rows of the teacher are real, `(batch, views, dim)`."""
    unlabeled = np.full(student.shape[-3], -1)
    rows = Rows(unlabeled, student, normalize)
    targets = Rows(unlabeled, np.asarray(teacher, "float64"), normalize)
    losses = {}
    for i in rows.anchors("all"):
        others = [j for j in rows.candidates if j != i]
        if not others:
            losses[i] = np.zeros(rows.z.shape[1:-1], rows.z.dtype)
            continue
        logits = np.array([targets.dot(i, j) for j in others]) / teacher_temperature
        shares = np.exp(logits - logits.max())
        shares /= shares.sum()
        own = [rows.dot(i, j) / student_temperature for j in others]
        log_total = _log_sum_exp(own)
        losses[i] = -sum(p * (s - log_total) for p, s in zip(shares, own, strict=True))
    return rows.per_sample(losses)


def _hinge(value: np.ndarray) -> np.ndarray:
    return np.where(np.real(value) > 0, value, 0)


def _largest(values: list[np.ndarray]) -> np.ndarray:
    values = np.stack(values)
    return np.take_along_axis(values, np.argmax(np.real(values), axis=0)[None], axis=0)[0]


def gradient(loss: Callable[[np.ndarray], np.ndarray], projections: np.ndarray) -> np.ndarray:
    """Gradient of the mean of a loss at real projections `(batch, views, dim)`."""
    size = projections.size
    moved = np.broadcast_to(projections.astype("complex128"), (size, *projections.shape)).copy()
    step = 1e-30
    moved.reshape(size, size)[np.arange(size), np.arange(size)] += 1j * step
    return (loss(moved).mean(axis=-1).imag / step).reshape(projections.shape)
