"""Tests of model files that have a name."""
