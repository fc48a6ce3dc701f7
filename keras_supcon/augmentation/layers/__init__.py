"""Augmentation layers: one draw for each image of a batch."""
