"""Adapts a model file to the reviewed fields of one lab: thresholds, temperature, last layer, classes of its own."""
