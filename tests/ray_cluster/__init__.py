"""Tests on a Ray cluster, in an environment of its own: Ray is large, and slow to start."""
