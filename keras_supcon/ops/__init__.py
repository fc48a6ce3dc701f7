"""Pure tensor mathematics under the losses, in `keras.ops`.

Losses and methods are written with it: `standardize_batch` checks a batch, `Contrast` holds its
anchors, candidates and pairs, and `pair_sum`, `pair_max` and `pair_argmax` visit pairs of rows tile
by tile.
"""

from keras_supcon.deprecation import renamed
from keras_supcon.ops.contrast import Contrast
from keras_supcon.ops.distances import distance_anchors, distance_contrasts
from keras_supcon.ops.normalization import l2_normalize
from keras_supcon.ops.pair_sum import pair_argmax, pair_max, pair_sum
from keras_supcon.ops.pair_weighting import BlockWeighting, PairWeighting
from keras_supcon.ops.pairs import NEGATIVES, OTHERS, POSITIVES, PairSet, Rows
from keras_supcon.ops.standardize import standardize_batch, standardize_labels
from keras_supcon.ops.weighted_contrast import LabelPairs, WeightedContrast

__all__ = [
    "NEGATIVES",
    "OTHERS",
    "POSITIVES",
    "BlockWeighting",
    "Contrast",
    "LabelPairs",
    "PairSet",
    "PairWeighting",
    "Rows",
    "WeightedContrast",
    "distance_anchors",
    "distance_contrasts",
    "l2_normalize",
    "pair_argmax",
    "pair_max",
    "pair_sum",
    "standardize_batch",
    "standardize_labels",
]

__getattr__ = renamed(
    __name__,
    {
        "class_groups": "keras_supcon.ops.classes.class_groups",
        "convert_rows": "keras_supcon.ops.normalization.convert_rows",
        "limit_norm": "keras_supcon.ops.normalization.limit_norm",
        "permute_rows": "keras_supcon.ops.permutation.permute_rows",
        "ranks_in_group": "keras_supcon.ops.classes.ranks_in_group",
        "row_loss": "keras_supcon.ops.whole_rows.row_loss",
    },
)
