"""Raw SemanticKITTI label ids of the synthetic street."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["MovingLabel", "RawLabel"]


class RawLabel(IntEnum):
    """Raw SemanticKITTI ids that the synthetic street uses (one for each official class).

    ``LANE_MARKING`` maps to the class road, as in the official learning map.
    """

    CAR = 10
    BICYCLE = 11
    MOTORCYCLE = 15
    TRUCK = 18
    OTHER_VEHICLE = 20
    PERSON = 30
    BICYCLIST = 31
    MOTORCYCLIST = 32
    ROAD = 40
    PARKING = 44
    SIDEWALK = 48
    OTHER_GROUND = 49
    BUILDING = 50
    FENCE = 51
    LANE_MARKING = 60
    VEGETATION = 70
    TRUNK = 71
    TERRAIN = 72
    POLE = 80
    SIGN = 81


class MovingLabel(IntEnum):
    """Raw ids of things that move while the sensors watch; the learning map knows no difference."""

    CAR = 252
    BICYCLIST = 253
    PERSON = 254
