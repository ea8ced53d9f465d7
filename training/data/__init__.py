"""Labelled fields: data sets, their parts, prepared images and batches."""
