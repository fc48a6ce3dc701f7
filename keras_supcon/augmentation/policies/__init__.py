"""Policies: sequences of layers that begin with a random crop and end in [0, 1]."""
