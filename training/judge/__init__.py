"""Judges fitted networks: predictions, metrics, thresholds, calibration and comparison."""
