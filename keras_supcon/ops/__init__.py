"""Pure tensor mathematics under the losses, in `keras.ops`."""

from keras_supcon.ops.classes import class_groups, ranks_in_group
from keras_supcon.ops.contrast import Contrast
from keras_supcon.ops.distances import distance_anchors, distance_contrasts
from keras_supcon.ops.normalization import convert_rows, l2_normalize, limit_norm
from keras_supcon.ops.pair_sum import pair_argmax, pair_max, pair_sum
from keras_supcon.ops.pairs import NEGATIVES, OTHERS, POSITIVES, PairSet, Rows
from keras_supcon.ops.permutation import permute_rows
from keras_supcon.ops.row_loss import row_loss
from keras_supcon.ops.standardize import standardize_batch, standardize_labels

__all__ = [
    "NEGATIVES",
    "OTHERS",
    "POSITIVES",
    "Contrast",
    "PairSet",
    "Rows",
    "class_groups",
    "convert_rows",
    "distance_anchors",
    "distance_contrasts",
    "l2_normalize",
    "limit_norm",
    "pair_argmax",
    "pair_max",
    "pair_sum",
    "permute_rows",
    "ranks_in_group",
    "row_loss",
    "standardize_batch",
    "standardize_labels",
]
