"""Defines the sizes and shares that the segmentation of cells works with."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentationSettings:
    """Settings of the segmentation. Lengths are micrometres, so that they mean the same for every microscope.

    Attributes
    ----------
    pixel : float
        Micrometres per pixel at which cells are found, about: finer planes are reduced by a whole number, so that they
        come nearest to it. Coarser ones stay as they are.
    nucleus_radius : float
        Usual radius of a nucleus, by which the pixel size is estimated if nobody knows it.
    least_nucleus : float
        Square micrometres: a smaller bright part of the blue plane is debris.
    nucleus_blur, cell_blur : float
        Standard deviation of the Gaussian filter before the blue plane and the other planes are thresholded.
    nucleus_share : float
        Share of the brightness of the brightest pixel within `nucleus_radius`, over the background, that a pixel of a
        nucleus has at least. It removes the halo of bright nuclei.
    neck : float
        Two parts of a bright region are one nucleus if the region is between them at least this wide, as a share of
        the width of the narrower part.
    noise : float
        A pixel belongs to a cell if one of its planes is brighter than the background by this many standard deviations
        of the background, but at most by half of the distance to Otsu's threshold.
    edge, edge_share : float
        Likewise it has at least this share of the brightness of the brightest pixel within `edge`.
    closing : float
        Radius of gaps in a cell, such as the meshes of microtubules, that are closed.
    reach : float
        Farthest distance of a pixel of a cell from its nucleus.
    """

    pixel: float = 0.64
    nucleus_radius: float = 7.0
    least_nucleus: float = 15.0
    nucleus_blur: float = 0.8
    cell_blur: float = 0.25
    nucleus_share: float = 0.2
    neck: float = 0.68
    noise: float = 10.0
    edge: float = 1.5
    edge_share: float = 0.2
    closing: float = 0.8
    reach: float = 30.0
