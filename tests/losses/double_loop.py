"""Equations 2 and 3 of Khosla et al. (2020), written out in float64."""

import numpy as np


def supcon(class_ids: np.ndarray, projections: np.ndarray, temperature: float, summation: str) -> np.ndarray:
    """The loss of each sample from `(batch, views, dim)` projections, pair by pair."""
    batch, views, dim = projections.shape
    z = projections.astype("float64").reshape(-1, dim)
    norms = np.linalg.norm(z, axis=1, keepdims=True)
    z = np.divide(z, norms, out=np.zeros_like(z), where=norms > 0)
    sample = np.repeat(np.arange(batch), views)
    loss = np.zeros(len(z))
    for i in range(len(z)):
        others = [a for a in range(len(z)) if a != i]
        label = class_ids[sample[i]]
        positives = [p for p in others if sample[p] == sample[i] or (class_ids[sample[p]] == label and label >= 0)]
        if not positives:
            continue
        similarity = {a: z[i] @ z[a] / temperature for a in others}
        shift = max(similarity.values())
        denominator = sum(np.exp(similarity[a] - shift) for a in others)
        shares = [np.exp(similarity[p] - shift) / denominator for p in positives]
        if summation == "out":
            loss[i] = -np.mean([similarity[p] - shift - np.log(denominator) for p in positives])
        else:
            loss[i] = -np.log(np.mean(shares))
    return loss.reshape(batch, views).mean(axis=1)


def supcon_gradient(class_ids: np.ndarray, projections: np.ndarray, temperature: float, summation: str) -> np.ndarray:
    """Gradient of the mean loss by central differences."""
    projections = projections.astype("float64")
    gradient = np.zeros_like(projections)
    for index in np.ndindex(projections.shape):
        step = 1e-5 * max(1.0, abs(projections[index]))
        ends = []
        for sign in (1, -1):
            moved = projections.copy()
            moved[index] += sign * step
            ends.append(supcon(class_ids, moved, temperature, summation).mean())
        gradient[index] = (ends[0] - ends[1]) / (2 * step)
    return gradient
