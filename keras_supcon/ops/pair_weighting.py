"""Constant weights of pairs, computed inside a tile from features of their own."""

from collections.abc import Callable
from typing import Any, NamedTuple

from keras import ops

from keras_supcon.ops.blocks import Blocks
from keras_supcon.typing import Tensor

Weight = Callable[[Tensor, Tensor | None, Tensor | None], Tensor]


class PairWeighting(NamedTuple):
    """Describes a weight of each pair of an anchor and a contrast row, without gradient.

        w_ij = weight(f_i.g_j, p_i, q_j)

    with features `f` and `g` of second spaces, such as those of another network or labels as rows,
    and one number `p` of each anchor and `q` of each contrast row. Weights need not be symmetric.
    A tile of them takes a second matrix product, so that memory grows with the number of rows. With
    multi-hot labels `y`, for example, `PairWeighting(jaccard, y, None, sizes, sizes)` with
    `sizes = sum(y)` and `jaccard = lambda common, own, other: common / maximum(own + other -
    common, 1)`.
    """

    weight: Weight
    """`weight(dot_products, anchor_parameter, contrast_parameter)`, elementwise; the parameters
    broadcast, and are None where they are not given. It should be finite for all rows, and for the
    zeros with which blocks are padded: for a dot product of 0 and a parameter of 0 as well. Its
    results for pairs outside of the set do not matter, but in the padding they are multiplied by
    0."""
    anchors: Tensor
    """Float tensor `(anchors, other dim)`, in the order of the anchors."""
    contrasts: Tensor | None = None
    """Float tensor `(contrasts, other dim)`, in the order of the contrasts; None for the
    anchors."""
    anchor_parameter: Tensor | None = None
    """Float tensor `(anchors,)`, or None."""
    contrast_parameter: Tensor | None = None
    """Float tensor `(contrasts,)`, or None."""

    def without_gradient(self) -> "PairWeighting":
        """Returns the same weights as constants."""
        weight, *tensors = self
        return PairWeighting(weight, *map(_constant, tensors))


class BlockWeighting(NamedTuple):
    """Describes a weight of each pair by any function of the labels of both rows.

        w_ij = weight(labels_i, labels_j) >= 0

    A tile takes the label rows of two blocks, so that memory grows with the number of rows. Unlike
    the features of `PairWeighting` integers stay integers.
    """

    weight: Callable[[Tensor, Tensor], Tensor]
    """`weight(anchor_labels, contrast_labels)` of `(a, k)` and `(c, k)` returns `(a, c)`. Its
    results for pairs outside of the set, and for the zeros with which blocks are padded, do not
    matter."""
    anchors: Tensor
    """Tensor `(anchors, k)`, in the order of the anchors."""
    contrasts: Tensor | None = None
    """Tensor `(contrasts, k)`, in the order of the contrasts; None for the anchors."""
    is_symmetric: bool = False
    """Whether the weight of two rows does not depend on which of them is the anchor."""

    def without_gradient(self) -> "BlockWeighting":
        """Returns the same weights as constants."""
        return self._replace(anchors=_constant(self.anchors), contrasts=_constant(self.contrasts))


Weighting = PairWeighting | BlockWeighting


def tile_weights(weighting: Weighting, anchors: Blocks, contrasts: Blocks) -> Any:
    """Returns the `TileWeights`, or `BlockTileWeights`, of a weighting."""
    kind = TileWeights if isinstance(weighting, PairWeighting) else BlockTileWeights
    return kind(weighting, anchors, contrasts)


class BlockTileWeights:
    """Does what `TileWeights` does for a `BlockWeighting`.

    Args:
        weighting: The weights.
        anchors: Blocks of the anchors of the sum.
        contrasts: Blocks of its contrast rows.
    """

    def __init__(self, weighting: BlockWeighting, anchors: Blocks, contrasts: Blocks) -> None:
        self._weighting = weighting
        self._anchor_blocks, self._contrast_blocks = anchors, contrasts
        self._anchors = anchors.split(weighting.anchors)
        self._contrasts = self._anchors
        if weighting.contrasts is not None:
            self._contrasts = contrasts.split(weighting.contrasts)

    def of_tile(self, i: Tensor | int, j: Tensor | int) -> Tensor:
        """Returns the weights of the anchors of block i and the contrasts of block j."""
        return self._finite(self._weighting.weight(self._anchors[i], self._contrasts[j]), i, j)

    def both_ways(self, i: Tensor | int, j: Tensor | int) -> tuple[Tensor, Tensor]:
        """Returns the weights with the rows of block i as anchors, and with those of block j."""
        weights = self.of_tile(i, j)
        if self._weighting.is_symmetric:
            return weights, weights
        return weights, ops.transpose(self.of_tile(j, i))

    def _finite(self, weights: Tensor, i: Tensor | int, j: Tensor | int) -> Tensor:
        """Returns weights in the dtype of the sum, 0 for the rows that pad a block."""
        weights = ops.cast(weights, self._anchor_blocks.dtype)
        if self._anchor_blocks.is_full and self._contrast_blocks.is_full:
            return weights
        is_row = ops.logical_and(
            self._anchor_blocks.valid(i) > 0, ops.transpose(self._contrast_blocks.valid(j)) > 0
        )
        return ops.where(is_row, weights, ops.zeros((), dtype=weights.dtype))


class TileWeights:
    """Computes the weights of tiles of anchor blocks by contrast blocks.

    Args:
        weighting: The weights.
        anchors: Blocks of the anchors of the sum.
        contrasts: Blocks of its contrast rows.
    """

    def __init__(self, weighting: PairWeighting, anchors: Blocks, contrasts: Blocks) -> None:
        def split(vectors: Tensor | None, blocks: Blocks) -> Any:
            if vectors is None:
                return None
            vectors = ops.cast(vectors, anchors.dtype)
            return blocks.split(vectors if len(vectors.shape) == 2 else vectors[:, None])

        self._weight = weighting.weight
        self._anchors = split(weighting.anchors, anchors)
        self._contrasts = (
            self._anchors if weighting.contrasts is None else split(weighting.contrasts, contrasts)
        )
        self._anchor_parameter = split(weighting.anchor_parameter, anchors)
        self._contrast_parameter = split(weighting.contrast_parameter, contrasts)

    def of_tile(self, i: Tensor | int, j: Tensor | int) -> Tensor:
        """Returns the weights of the anchors of block i and the contrasts of block j."""
        own, other = _item(self._anchor_parameter, i), _item(self._contrast_parameter, j)
        return self._weight(self._products(i, j), own, _transposed(other))

    def both_ways(self, i: Tensor | int, j: Tensor | int) -> tuple[Tensor, Tensor]:
        """Returns the weights with the rows of block i as anchors, and with those of block j, where
        anchors and contrasts are the same rows.

        Both are laid out as rows of block i by rows of block j. It is one tensor if they are equal.
        """
        products = self._products(i, j)
        if self._anchor_parameter is None and self._contrast_parameter is None:
            weights = self._weight(products, None, None)
            return weights, weights
        of_i, of_j = (
            (_item(self._anchor_parameter, block), _item(self._contrast_parameter, block))
            for block in (i, j)
        )
        return (
            self._weight(products, of_i[0], _transposed(of_j[1])),
            self._weight(products, _transposed(of_j[0]), of_i[1]),
        )

    def _products(self, i: Tensor | int, j: Tensor | int) -> Tensor:
        return ops.matmul(self._anchors[i], ops.transpose(self._contrasts[j]))


def _constant(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else ops.stop_gradient(ops.convert_to_tensor(tensor))


def _item(blocks: Any, index: Tensor | int) -> Tensor | None:
    return None if blocks is None else blocks[index]


def _transposed(vector: Tensor | None) -> Tensor | None:
    return None if vector is None else ops.transpose(vector)
