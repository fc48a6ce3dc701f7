"""Scores of arrays: calibration, ranking, geometry, classification, corruption, intervals."""
