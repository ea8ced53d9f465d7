"""Names the networks and the images that they take, without Keras, which takes seconds to import."""

from __future__ import annotations

from typing import Literal, get_args

from hpa_sdk.preprocessing import Preprocessing

StudyNetworkName = Literal["inception_resnet_v2", "vgg16"]

NetworkName = Literal["inception_resnet_v2", "vgg16", "light"]

STUDY_NETWORKS: tuple[StudyNetworkName, ...] = get_args(StudyNetworkName)
"""The networks of the study."""

NETWORK_NAMES: tuple[NetworkName, ...] = get_args(NetworkName)
"""The networks that a fit builds: the study's two, and a light one for CPUs."""

LIGHT_SIDE = 256
"""Side of the light network's image: half of a field of 512, so that each of its pixels is the mean of four."""

STUDY_PREPROCESSING = Preprocessing()

LIGHT_PREPROCESSING = Preprocessing(
    blend=((1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0), (0.0, 0.0, 0.0, 1.0)), size=LIGHT_SIDE
)
"""The light network takes the four planes as they are."""


def preprocessing_of(name: NetworkName) -> Preprocessing:
    """Give the preprocessing of a network."""
    return LIGHT_PREPROCESSING if name == "light" else STUDY_PREPROCESSING
