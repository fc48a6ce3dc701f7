"""Pure tensor mathematics under the losses, in `keras.ops`."""

from keras_supcon.ops.normalization import l2_normalize
from keras_supcon.ops.pairwise import masked_logsumexp, masked_mean, scaled_similarity
from keras_supcon.ops.positives import positive_pairs, self_pairs

__all__ = [
    "l2_normalize",
    "masked_logsumexp",
    "masked_mean",
    "positive_pairs",
    "scaled_similarity",
    "self_pairs",
]
