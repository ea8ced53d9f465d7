"""Measures the segmentation of cells and the answers for them."""
