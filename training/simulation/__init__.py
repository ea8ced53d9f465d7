"""Simulates labelled fields of cells in the form of the real training set, for use without that set."""

from training.simulation.dataset import simulate
from training.simulation.fields import simulate_field
from training.simulation.label_draw import draw_labels

__all__ = ["draw_labels", "simulate", "simulate_field"]
