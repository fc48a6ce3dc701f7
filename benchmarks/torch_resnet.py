"""`keras_supcon.encoders.ResNet` with its projection head in plain torch, to compare with.

It has the same layers in the same order, so that the parameters of one, laid out for the other,
give the same projections (`tests/benchmarks/test_torch_resnet.py`). Images have the channels first.
"""

import torch
from torch import nn

BLOCKS_OF_STAGES = {10: (1, 1, 1, 1), 18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}
BOTTLENECK_EXPANSION = 4


class ConvNorm(nn.Sequential):
    """Convolves without bias, normalizes the batch, and applies a ReLU if `activate`."""

    def __init__(
        self,
        in_channels: int,
        channels: int,
        kernel_size: int,
        stride: int = 1,
        activate: bool = True,
    ) -> None:
        super().__init__(
            nn.Conv2d(
                in_channels,
                channels,
                kernel_size,
                stride,
                padding=(kernel_size - 1) // 2,
                bias=False,
            ),
            nn.BatchNorm2d(channels),
            *([nn.ReLU(inplace=True)] if activate else []),
        )
        nn.init.kaiming_normal_(self[0].weight)


class ResidualBlock(nn.Module):
    """Computes `relu(shortcut(x) + residual(x))`; the last scale starts at zero."""

    def __init__(self, in_channels: int, channels: int, stride: int, is_bottleneck: bool) -> None:
        super().__init__()
        out_channels = channels * BOTTLENECK_EXPANSION if is_bottleneck else channels
        if is_bottleneck:
            layers = [
                ConvNorm(in_channels, channels, 1),
                ConvNorm(channels, channels, 3, stride),
                ConvNorm(channels, out_channels, 1, activate=False),
            ]
        else:
            layers = [
                ConvNorm(in_channels, channels, 3, stride),
                ConvNorm(channels, channels, 3, activate=False),
            ]
        nn.init.zeros_(layers[-1][1].weight)
        self.residual = nn.Sequential(*layers)
        is_projected = stride > 1 or in_channels != out_channels
        self.shortcut = (
            ConvNorm(in_channels, out_channels, 1, stride, activate=False)
            if is_projected
            else nn.Identity()
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.relu(self.shortcut(x) + self.residual(x))


class ResNet(nn.Module):
    """Maps images `(batch, channels, height, width)` to features `(batch, num_features)`.

    Args:
        depth: Depth of the network, a key of `BLOCKS_OF_STAGES`.
        width: Multiplier of the number of channels.
        stem: `"imagenet"` or `"cifar"`.
        image_channels: Channels of the images.
    """

    def __init__(self, depth: int, width: float, stem: str, image_channels: int = 3) -> None:
        super().__init__()
        is_bottleneck = depth >= 50
        in_channels = int(64 * width)
        if stem == "imagenet":
            layers = [
                ConvNorm(image_channels, in_channels, 7, stride=2),
                nn.MaxPool2d(3, stride=2, padding=1),
            ]
        else:
            layers = [ConvNorm(image_channels, in_channels, 3)]
        for stage, num_blocks in enumerate(BLOCKS_OF_STAGES[depth]):
            channels = int(64 * 2**stage * width)
            for block in range(num_blocks):
                layers.append(
                    ResidualBlock(
                        in_channels, channels, 2 if stage > 0 and block == 0 else 1, is_bottleneck
                    )
                )
                in_channels = channels * BOTTLENECK_EXPANSION if is_bottleneck else channels
        self.layers = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.num_features = in_channels

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.layers(standardize(images))


class ContrastiveNetwork(nn.Module):
    """Maps images `(batch, 3, height, width)` to projections `(batch, output_dim)` of unit length.

    Args:
        depth: Depth of the ResNet, a key of `BLOCKS_OF_STAGES`.
        width: Multiplier of the number of channels.
        stem: `"imagenet"` or `"cifar"`.
        hidden_units: Width of the hidden layer of the projection head.
        output_dim: Width of the projections.
    """

    def __init__(
        self, depth: int, width: float, stem: str, hidden_units: int, output_dim: int = 128
    ) -> None:
        super().__init__()
        self.encoder = ResNet(depth, width, stem)
        self.projection_head = projection_head(self.encoder.num_features, hidden_units, output_dim)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return nn.functional.normalize(self.projection_head(self.encoder(images)).float(), dim=1)


def projection_head(
    num_features: int, hidden_units: int, output_dim: int, batch_norm: bool = False
) -> nn.Sequential:
    """Returns `keras_supcon.ProjectionHead` without its normalization of the rows.

    Args:
        num_features: Width of the features.
        hidden_units: Width of the hidden layer.
        output_dim: Width of the projections.
        batch_norm: Whether the hidden layer is normalized.
    """
    hidden = nn.Linear(num_features, hidden_units, bias=not batch_norm)
    output = nn.Linear(hidden_units, output_dim, bias=False)
    nn.init.kaiming_normal_(hidden.weight)
    nn.init.xavier_uniform_(output.weight)
    if not batch_norm:
        nn.init.zeros_(hidden.bias)
    normalization = [nn.BatchNorm1d(hidden_units)] if batch_norm else []
    return nn.Sequential(hidden, *normalization, nn.ReLU(inplace=True), output)


def standardize(images: torch.Tensor) -> torch.Tensor:
    """Gives every image mean 0 and deviation 1 over its pixels and channels together."""
    variance, mean = torch.var_mean(images, dim=(1, 2, 3), keepdim=True, correction=0)
    return (images - mean) * torch.rsqrt(variance.clamp_min(1e-30))
