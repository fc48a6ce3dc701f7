"""Networks that turn images into features; any other Keras model works as well."""

from keras_supcon.encoders.resnet import ResNet
from keras_supcon.encoders.standardization import ImageStandardization

__all__ = ["ImageStandardization", "ResNet"]
