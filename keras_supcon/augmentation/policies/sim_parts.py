"""The layers of SimCLR's policy that follow the crop."""

from typing import Any

from keras_supcon.arguments import check_between, check_probability
from keras_supcon.augmentation.layers.blur import RandomGaussianBlur
from keras_supcon.augmentation.layers.color import RandomColorJitter, RandomGrayscale
from keras_supcon.augmentation.layers.image_augmentation import ImageAugmentation
from keras_supcon.augmentation.layers.warp import RandomWarp
from keras_supcon.augmentation.policies.augmentation_policy import AugmentationPolicy


class SimParts(AugmentationPolicy):
    """Base of the policies that hold `jitter`, `grayscale`, `warp` and `blur`."""

    def make_sim_parts(
        self,
        *,
        strength: float,
        grayscale_probability: float,
        blur_probability: float,
        warp_probability: float,
        saturation: float | None = None,
        **jitter_arguments: Any,
    ) -> None:
        """Makes the layers, in the order in which their seeds are derived."""
        self.strength = check_between("strength", strength, 0, 2)
        spread = 0.8 * self.strength
        self.jitter = self.part(
            RandomColorJitter,
            brightness=spread,
            contrast=spread,
            saturation=spread if saturation is None else saturation,
            hue=0.2 * self.strength,
            **jitter_arguments,
        )
        for name, layer_class, probability in (
            ("grayscale", RandomGrayscale, grayscale_probability),
            ("warp", RandomWarp, warp_probability),
            ("blur", RandomGaussianBlur, blur_probability),
        ):
            check_probability(f"{name}_probability", probability)
            setattr(self, name, self.part(layer_class, probability=probability))

    def used_parts(self, *names: str) -> dict[str, ImageAugmentation]:
        """Returns those of the named parts that are ever applied."""
        parts = {name: getattr(self, name) for name in names}
        return {name: part for name, part in parts.items() if part.probability > 0}

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "strength": self.strength,
            "grayscale_probability": self.grayscale.probability,
            "blur_probability": self.blur.probability,
            "warp_probability": self.warp.probability,
        }
