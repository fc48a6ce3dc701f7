"""Losses of pytorch-metric-learning on batches of views; runs in its environment."""

import numpy as np
import torch
from pytorch_metric_learning import distances, losses, miners, reducers
from pytorch_metric_learning.utils import loss_and_miner_utils

from tests.parity.exchange import answer


def rows(embeddings, labels):
    views, dim = embeddings.shape[1:]
    return embeddings.reshape(-1, dim), torch.tensor(np.repeat(labels, views))


def supcon(embeddings, labels, temperature):
    return losses.SupConLoss(float(temperature))(*rows(embeddings, labels))


def supcon_with_queue(embeddings, labels, queue, queue_labels, temperature):
    embeddings, labels = rows(embeddings, labels)
    contrasts = torch.cat([embeddings, torch.tensor(queue)])
    contrast_labels = torch.cat([labels, torch.tensor(queue_labels)])
    anchor, positive, negative_anchor, negative = loss_and_miner_utils.get_all_pairs_indices(
        labels, contrast_labels
    )
    is_other = anchor != positive
    pairs = (anchor[is_other], positive[is_other], negative_anchor, negative)
    return losses.SupConLoss(float(temperature))(
        embeddings, labels, pairs, ref_emb=contrasts, ref_labels=contrast_labels
    )


def ntxent(embeddings, labels, temperature):
    return losses.NTXentLoss(float(temperature))(*rows(embeddings, labels))


def npairs(embeddings):
    """Mean over both choices of the anchor view: the anchor of a class is its first row."""
    loss = losses.NPairsLoss(distance=distances.DotProductSimilarity(normalize_embeddings=False))
    first, second = embeddings.unbind(1)
    labels = torch.arange(len(embeddings)).repeat(2)
    return (loss(torch.cat([first, second]), labels) + loss(torch.cat([second, first]), labels)) / 2


def triplet_all(embeddings, labels, margin, normalize):
    loss = losses.TripletMarginLoss(
        float(margin), distance=squared_distance(normalize), reducer=reducers.MeanReducer()
    )
    return loss(*rows(embeddings, labels))


def triplet_hard(embeddings, labels, margin, normalize):
    distance = squared_distance(normalize)
    loss = losses.TripletMarginLoss(
        float(margin), distance=distance, reducer=reducers.MeanReducer()
    )
    embeddings, labels = rows(embeddings, labels)
    return loss(embeddings, labels, miners.BatchHardMiner(distance=distance)(embeddings, labels))


def contrastive(embeddings, labels, margin, normalize):
    """Sum of the squares of what this package adds up itself: distances of positives and shortfalls
    of negatives.
    """
    distance = distances.LpDistance(normalize_embeddings=bool(normalize))
    loss = losses.ContrastiveLoss(
        neg_margin=float(margin), distance=distance, reducer=SumOfSquares()
    )
    return loss(*rows(embeddings, labels))


def squared_distance(normalize):
    return distances.LpDistance(normalize_embeddings=bool(normalize), power=2)


class SumOfSquares(reducers.MeanReducer):
    def element_reduction(self, losses, *_):
        return torch.sum(losses**2)


def value_and_gradient(loss, embeddings):
    embeddings = torch.tensor(embeddings, requires_grad=True)
    value = loss(embeddings)
    value.backward()
    return value.item(), embeddings.grad.numpy()


if __name__ == "__main__":
    torch.set_num_threads(1)
    functions = (supcon, supcon_with_queue, ntxent, npairs, triplet_all, triplet_hard, contrastive)
    answer({function.__name__: function for function in functions}, value_and_gradient)
