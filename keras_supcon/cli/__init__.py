"""The command `keras-supcon`: evaluate, embed, demo, doctor."""

from keras_supcon.cli.main import main

__all__ = ["main"]
