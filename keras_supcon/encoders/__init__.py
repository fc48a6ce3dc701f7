"""Networks that turn images into features. Any other Keras model serves as well."""

from keras_supcon.encoders.resnet import ResNet
from keras_supcon.encoders.standardization import ImageStandardization

__all__ = ["ImageStandardization", "ResNet"]
