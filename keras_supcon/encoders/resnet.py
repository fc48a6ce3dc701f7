"""ResNet v1 encoders."""

from typing import Any

import keras

from keras_supcon.arguments import check_below_1, check_choice, is_number, is_whole
from keras_supcon.encoders.standardization import ImageStandardization
from keras_supcon.typing import Tensor

# Blocks in each of the four stages. Depths below 50 use basic blocks, the others bottlenecks.
_STAGES = {
    10: (1, 1, 1, 1),
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
    200: (3, 24, 36, 3),
}
_STEMS = ("imagenet", "cifar")
_BOTTLENECK_EXPANSION = 4


def check_depth(name: str, depth: Any) -> int:
    """Accepts the depth of a `ResNet` for an argument of any name."""
    if not is_whole(depth) or depth not in _STAGES:
        raise ValueError(f"`{name}` should be one of {tuple(_STAGES)}. Received: {name}={depth!r}")
    return int(depth)


def check_width(name: str, width: Any) -> float:
    """Accepts the width of a `ResNet` for an argument of any name."""
    if not (is_number(width) and 64 * width >= 1):
        raise ValueError(
            f"`{name}` should be at least 1/64, one channel. Received: {name}={width!r}"
        )
    return float(width)


class ConvNorm(keras.layers.Layer):
    """Convolution without bias, then batch normalization, then ReLU if `activate`."""

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        batch_norm: dict[str, Any],
        strides: int = 1,
        activate: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        # "same" pads a strided convolution on the right and bottom only, which shifts the image at
        # every stage.
        policy = {"dtype": self.dtype_policy}
        pads = strides > 1 and kernel_size > 1
        self.padding = (
            keras.layers.ZeroPadding2D((kernel_size - 1) // 2, **policy) if pads else None
        )
        self.convolution = keras.layers.Conv2D(
            filters,
            kernel_size,
            strides=strides,
            padding="valid" if strides > 1 else "same",
            use_bias=False,
            kernel_initializer="he_normal",
            **policy,
        )
        self.normalization = keras.layers.BatchNormalization(**batch_norm, **policy)
        self.activation = keras.layers.ReLU(**policy) if activate else None

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        if self.padding is not None:
            x = self.padding(x)
        x = self.normalization(self.convolution(x), training=training)
        return x if self.activation is None else self.activation(x)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        if self.padding is not None:
            self.padding.build(input_shape)
            input_shape = self.padding.compute_output_shape(input_shape)
        self.convolution.build(input_shape)
        output_shape = self.convolution.compute_output_shape(input_shape)
        self.normalization.build(output_shape)
        if self.activation is not None:
            self.activation.build(output_shape)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        if self.padding is not None:
            input_shape = self.padding.compute_output_shape(input_shape)
        return self.convolution.compute_output_shape(input_shape)


class ResidualBlock(keras.layers.Layer):
    """Computes `relu(shortcut(x) + residual(x))`.

    The scale of the last batch normalization starts at zero, so that the block starts as its
    shortcut.
    """

    def __init__(
        self,
        filters: int,
        strides: int,
        bottleneck: bool,
        batch_norm: dict[str, Any],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        policy = {"dtype": self.dtype_policy}
        last = {**batch_norm, "gamma_initializer": "zeros"}
        if bottleneck:
            self.output_filters = filters * _BOTTLENECK_EXPANSION
            self.residual = [
                ConvNorm(filters, 1, batch_norm, **policy),
                ConvNorm(filters, 3, batch_norm, strides=strides, **policy),
                ConvNorm(self.output_filters, 1, last, activate=False, **policy),
            ]
        else:
            self.output_filters = filters
            self.residual = [
                ConvNorm(filters, 3, batch_norm, strides=strides, **policy),
                ConvNorm(filters, 3, last, activate=False, **policy),
            ]
        self.strides = strides
        self.batch_norm = batch_norm
        self.shortcut = None
        self.activation = keras.layers.ReLU(**policy)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        if self.strides > 1 or input_shape[-1] != self.output_filters:
            self.shortcut = ConvNorm(
                self.output_filters,
                1,
                self.batch_norm,
                strides=self.strides,
                activate=False,
                dtype=self.dtype_policy,
            )
            self.shortcut.build(input_shape)
        shape = input_shape
        for layer in self.residual:
            layer.build(shape)
            shape = layer.compute_output_shape(shape)
        self.activation.build(shape)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        shortcut = x if self.shortcut is None else self.shortcut(x, training=training)
        for layer in self.residual:
            x = layer(x, training=training)
        return self.activation(shortcut + x)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        for layer in self.residual:
            input_shape = layer.compute_output_shape(input_shape)
        return input_shape


@keras.saving.register_keras_serializable(package="keras_supcon")
class ResNet(keras.Model):
    """ResNet v1 without a classifier: images to globally pooled features.

    The first layer standardizes each image (`ImageStandardization`), so that uint8, 0..255 and 0..1
    images are the same to the encoder. Any number of channels works; the first call fixes it.

    Args:
        depth: 18, 34, 50, 101, 152 or 200, or 10 for a small network that trains on two CPU cores
            (`depth=10, width=0.25`).
        width: Positive multiplier of the number of channels. The stem has 64 `width` channels.
        stem: `"imagenet"`: 7x7 convolution of stride 2 and 3x3 max pooling of stride 2; `"cifar"`:
            3x3 convolution of stride 1 without pooling, for images of about 8 to 64 pixels.
        batch_norm_momentum: Weight of the old value in the moving averages. 0.9 follows the
            authors' code; with the 0.99 of Keras the averages of a run of a few hundred steps have
            not converged.
        synchronized_batch_norm: Whether batch statistics cover all replicas of a strategy
            (TensorFlow only).
        **kwargs: `name`, `dtype` and the other arguments of `keras.Model`.

    Input shape: `(batch, height, width, channels)`. Output shape: `(batch, features)`, where
    `features` is 512 `width` below depth 50 and 2048 `width` from there on.

    Raises:
        ValueError: For an unknown depth or stem, or a width that leaves no channel.

    Reference:
        He et al., Deep Residual Learning for Image Recognition, CVPR 2016, table 1; with the stride
        on the 3x3 convolution and the zero-initialized last scale of each block of Goyal et al.,
        2017.

    Example:

    >>> import numpy as np
    >>> import keras_supcon
    >>> encoder = keras_supcon.encoders.ResNet(depth=10, width=0.25, stem="cifar")
    >>> tuple(encoder(np.zeros((2, 28, 28, 1), "uint8")).shape)
    (2, 128)
    """

    def __init__(
        self,
        depth: int = 50,
        width: float = 1.0,
        stem: str = "imagenet",
        batch_norm_momentum: float = 0.9,
        synchronized_batch_norm: bool = False,
        **kwargs: Any,
    ) -> None:
        check_depth("depth", depth)
        check_width("width", width)
        check_choice("stem", stem, _STEMS)
        check_below_1("batch_norm_momentum", batch_norm_momentum)
        super().__init__(**kwargs)
        self.depth = depth
        self.width = width
        self.stem = stem
        self.batch_norm_momentum = batch_norm_momentum
        self.synchronized_batch_norm = synchronized_batch_norm
        self.input_spec = keras.layers.InputSpec(ndim=4)

        batch_norm = {
            "momentum": batch_norm_momentum,
            "epsilon": 1e-5,
            "synchronized": synchronized_batch_norm,
        }
        bottleneck = depth >= 50
        policy = {"dtype": self.dtype_policy}
        self.standardization = ImageStandardization(**policy)
        stem_filters = int(64 * width)
        if stem == "imagenet":
            self.stem_layers = [
                ConvNorm(stem_filters, 7, batch_norm, strides=2, **policy),
                keras.layers.ZeroPadding2D(1, **policy),  # after ReLU zero never wins over a pixel
                keras.layers.MaxPooling2D(3, strides=2, **policy),
            ]
        else:
            self.stem_layers = [ConvNorm(stem_filters, 3, batch_norm, **policy)]
        self.blocks = [
            ResidualBlock(
                int(64 * 2**stage * width),
                2 if stage > 0 and block == 0 else 1,
                bottleneck,
                batch_norm,
                **policy,
            )
            for stage, num_blocks in enumerate(_STAGES[depth])
            for block in range(num_blocks)
        ]
        self.pooling = keras.layers.GlobalAveragePooling2D(**policy)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        if input_shape[-1] is None:
            raise ValueError(
                "`ResNet` should be built with a known number of channels. Received: "
                f"input_shape={tuple(input_shape)}"
            )
        shape = tuple(input_shape)
        # Those without weights too: `quantize` wants every layer built.
        for layer in (self.standardization, *self.stem_layers, *self.blocks, self.pooling):
            layer.build(shape)
            shape = layer.compute_output_shape(shape)
        self.built = True

    def call(self, images: Tensor, training: bool = False) -> Tensor:
        x = self.standardization(images)
        for layer in self.stem_layers:
            x = layer(x, training=training) if isinstance(layer, ConvNorm) else layer(x)
        for block in self.blocks:
            x = block(x, training=training)
        return self.pooling(x)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (input_shape[0], self.blocks[-1].output_filters)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "depth": self.depth,
            "width": self.width,
            "stem": self.stem,
            "batch_norm_momentum": self.batch_norm_momentum,
            "synchronized_batch_norm": self.synchronized_batch_norm,
        }
