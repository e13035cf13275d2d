"""The kinds of streets: one for each sequence, so that no two sequences share a layout."""

from __future__ import annotations

from dataclasses import dataclass, field

from mini_kitti.assets.raw_labels import MovingLabel, RawLabel

__all__ = ["StreetStyle", "class_plan", "has_traffic", "style_of"]

# Movable and thin objects of an ordinary street, within the driven and seen part.
_COMMON_OBJECTS = {
    RawLabel.CAR: 6,
    RawLabel.TRUCK: 2,
    RawLabel.OTHER_VEHICLE: 2,
    RawLabel.BICYCLE: 7,
    RawLabel.MOTORCYCLE: 5,
    RawLabel.PERSON: 11,
    RawLabel.BICYCLIST: 4,
    RawLabel.MOTORCYCLIST: 4,
    RawLabel.SIGN: 7,
    RawLabel.POLE: 7,
}
# Moving traffic of an ordinary street that has any.
_COMMON_MOVERS = {MovingLabel.CAR: 4, MovingLabel.BICYCLIST: 2, MovingLabel.PERSON: 4}
_GOLDEN_RATIO = 0.6180339887


@dataclass(frozen=True)
class StreetStyle:
    """What a street looks like.

    Pairs are (right, left) of the driving direction; lengths are in metres.

    Attributes:
        name: For the README of the data set.
        road_half_width: Half of the carriageway.
        parking: Width of a parking lane beside the carriageway, 0 for none.
        verge: Width of a grass strip between carriageway and sidewalk.
        sidewalk: Width of the sidewalk.
        setback: Smallest and largest distance from sidewalk to houses.
        storeys: Smallest and largest number of floors.
        lots: Weights of the lot kinds house, row, park, carpark, plaza.
        borders: Weights of fence, hedge and open fronts.
        tree_rate: Street trees in 10 m of one side.
        car_rate: Share of taken parking places.
        bends: (s of the middle, length, turned angle in radians).
        junctions: (s, half width, sides) with sides "both", "left" or "right".
        hollow: Largest vertical curvature of the hollows (1/metre).
        objects: Numbers of the objects that differ from the common ones.
        movers: Numbers of moving things, if the street has moving traffic.
    """

    name: str
    road_half_width: float
    parking: tuple[float, float]
    verge: tuple[float, float]
    sidewalk: tuple[float, float]
    setback: tuple[float, float]
    storeys: tuple[int, int]
    lots: dict[str, float]
    borders: dict[str, float]
    tree_rate: float
    car_rate: float
    bends: tuple[tuple[float, float, float], ...] = ()
    junctions: tuple[tuple[float, float, str], ...] = ()
    hollow: float = 0.0005
    objects: dict[RawLabel, int] = field(default_factory=dict)
    movers: dict[MovingLabel, int] = field(default_factory=_COMMON_MOVERS.copy)


_STYLES = (
    StreetStyle(
        name="residential street, parked cars on both sides",
        road_half_width=3.1,
        parking=(2.2, 2.2),
        verge=(0.0, 0.0),
        sidewalk=(2.2, 2.0),
        setback=(2.0, 5.0),
        storeys=(2, 3),
        lots={"house": 0.6, "row": 0.2, "park": 0.1, "plaza": 0.1},
        borders={"fence": 0.4, "hedge": 0.35, "open": 0.25},
        tree_rate=0.5,
        car_rate=0.75,
        hollow=0.0004,
    ),
    StreetStyle(
        name="suburban left bend with gardens",
        road_half_width=3.4,
        parking=(0.0, 2.2),
        verge=(1.6, 0.0),
        sidewalk=(1.8, 1.8),
        setback=(5.0, 10.0),
        storeys=(1, 2),
        lots={"house": 0.75, "park": 0.2, "plaza": 0.05},
        borders={"fence": 0.5, "hedge": 0.4, "open": 0.1},
        tree_rate=0.7,
        car_rate=0.60,
        bends=((38.0, 70.0, 1.0),),
        hollow=0.0007,
    ),
    StreetStyle(
        name="crossing of two town streets",
        road_half_width=4.2,
        parking=(2.3, 0.0),
        verge=(0.0, 1.5),
        sidewalk=(2.8, 2.6),
        setback=(0.0, 2.0),
        storeys=(3, 5),
        lots={"row": 0.65, "house": 0.15, "plaza": 0.2},
        borders={"fence": 0.2, "hedge": 0.2, "open": 0.6},
        tree_rate=0.4,
        car_rate=0.75,
        junctions=((42.0, 3.6, "both"),),
        hollow=0.0003,
        objects={RawLabel.PERSON: 16, RawLabel.SIGN: 9},
        movers={MovingLabel.CAR: 4, MovingLabel.BICYCLIST: 2, MovingLabel.PERSON: 7},
    ),
    StreetStyle(
        name="country road with trees and few houses",
        road_half_width=3.2,
        parking=(0.0, 0.0),
        verge=(2.2, 2.6),
        sidewalk=(1.6, 0.0),
        setback=(8.0, 14.0),
        storeys=(1, 2),
        lots={"park": 0.65, "house": 0.2, "carpark": 0.15},
        borders={"fence": 0.45, "hedge": 0.15, "open": 0.4},
        tree_rate=0.9,
        car_rate=0.65,
        bends=((25.0, 60.0, -0.55), (85.0, 60.0, 0.5)),
        hollow=0.0009,
        objects={RawLabel.PERSON: 8, RawLabel.BICYCLIST: 6},
        movers={MovingLabel.CAR: 4, MovingLabel.BICYCLIST: 4, MovingLabel.PERSON: 2},
    ),
    StreetStyle(
        name="wide commercial street with car parks",
        road_half_width=5.2,
        parking=(2.4, 2.4),
        verge=(1.8, 1.2),
        sidewalk=(2.4, 3.0),
        setback=(3.0, 9.0),
        storeys=(2, 6),
        lots={"row": 0.3, "house": 0.2, "carpark": 0.3, "plaza": 0.2},
        borders={"fence": 0.3, "hedge": 0.2, "open": 0.5},
        tree_rate=0.55,
        car_rate=0.80,
        junctions=((70.0, 3.4, "right"),),
        hollow=0.0003,
        objects={RawLabel.TRUCK: 3, RawLabel.OTHER_VEHICLE: 3},
        movers={MovingLabel.CAR: 7, MovingLabel.BICYCLIST: 2, MovingLabel.PERSON: 5},
    ),
    StreetStyle(
        name="residential S-bend on a hill",
        road_half_width=3.0,
        parking=(2.1, 0.0),
        verge=(0.0, 1.4),
        sidewalk=(1.8, 1.6),
        setback=(3.0, 7.0),
        storeys=(1, 3),
        lots={"house": 0.7, "row": 0.1, "park": 0.15, "plaza": 0.05},
        borders={"fence": 0.45, "hedge": 0.4, "open": 0.15},
        tree_rate=0.5,
        car_rate=0.70,
        bends=((18.0, 44.0, -0.6), (66.0, 50.0, 0.8)),
        hollow=0.0010,
    ),
    StreetStyle(
        name="side street on the left, car park and small shops",
        road_half_width=3.8,
        parking=(0.0, 2.3),
        verge=(1.2, 0.0),
        sidewalk=(2.0, 2.6),
        setback=(1.0, 6.0),
        storeys=(1, 3),
        lots={"house": 0.3, "row": 0.25, "carpark": 0.25, "plaza": 0.2},
        borders={"fence": 0.35, "hedge": 0.3, "open": 0.35},
        tree_rate=0.5,
        car_rate=0.75,
        bends=((80.0, 60.0, 0.4),),
        junctions=((30.0, 3.2, "left"),),
        hollow=0.0006,
        objects={RawLabel.MOTORCYCLE: 7, RawLabel.OTHER_VEHICLE: 3},
    ),
    StreetStyle(
        name="narrow old-town street",
        road_half_width=2.9,
        parking=(2.0, 0.0),
        verge=(0.0, 0.0),
        sidewalk=(1.6, 2.2),
        setback=(0.0, 0.8),
        storeys=(2, 4),
        lots={"row": 0.75, "house": 0.1, "plaza": 0.15},
        borders={"fence": 0.3, "hedge": 0.2, "open": 0.5},
        tree_rate=0.25,
        car_rate=0.70,
        bends=((45.0, 55.0, -0.45),),
        hollow=0.0007,
        objects={RawLabel.PERSON: 16, RawLabel.BICYCLE: 10},
        movers={MovingLabel.CAR: 3, MovingLabel.BICYCLIST: 2, MovingLabel.PERSON: 7},
    ),
    StreetStyle(
        name="residential right bend with a side street",
        road_half_width=3.5,
        parking=(2.2, 2.2),
        verge=(0.0, 0.0),
        sidewalk=(2.0, 2.4),
        setback=(1.5, 6.0),
        storeys=(2, 4),
        lots={"house": 0.5, "row": 0.2, "park": 0.15, "plaza": 0.15},
        borders={"fence": 0.4, "hedge": 0.35, "open": 0.25},
        tree_rate=0.55,
        car_rate=0.75,
        bends=((75.0, 70.0, -0.7),),
        junctions=((32.0, 3.3, "right"),),
        hollow=0.0006,
        objects={RawLabel.PERSON: 14},
    ),
    StreetStyle(
        name="suburban avenue with a crossing, gardens and a car park",
        road_half_width=4.0,
        parking=(2.2, 0.0),
        verge=(1.5, 2.0),
        sidewalk=(2.2, 2.0),
        setback=(4.0, 9.0),
        storeys=(1, 3),
        lots={"house": 0.5, "row": 0.1, "park": 0.15, "carpark": 0.15, "plaza": 0.1},
        borders={"fence": 0.45, "hedge": 0.35, "open": 0.2},
        tree_rate=0.7,
        car_rate=0.70,
        bends=((20.0, 50.0, 0.5),),
        junctions=((62.0, 3.5, "both"),),
        hollow=0.0007,
        objects={RawLabel.PERSON: 14},
    ),
    StreetStyle(
        name="long right bend between town houses and a park",
        road_half_width=3.7,
        parking=(2.2, 0.0),
        verge=(0.0, 2.4),
        sidewalk=(2.4, 1.8),
        setback=(1.0, 5.0),
        storeys=(2, 4),
        lots={"row": 0.35, "house": 0.25, "park": 0.25, "plaza": 0.15},
        borders={"fence": 0.4, "hedge": 0.3, "open": 0.3},
        tree_rate=0.6,
        car_rate=0.75,
        bends=((50.0, 90.0, -0.95),),
        hollow=0.0007,
    ),
    StreetStyle(
        name="straight street with mixed houses",
        road_half_width=3.6,
        parking=(0.0, 2.2),
        verge=(1.4, 0.0),
        sidewalk=(2.0, 2.2),
        setback=(2.0, 7.0),
        storeys=(1, 4),
        lots={"house": 0.5, "row": 0.25, "park": 0.1, "plaza": 0.15},
        borders={"fence": 0.4, "hedge": 0.3, "open": 0.3},
        tree_rate=0.55,
        car_rate=0.70,
        hollow=0.0006,
    ),
)


def style_of(sequence: int) -> StreetStyle:
    """Return the street style of a sequence; styles repeat after twelve, with other details."""
    return _STYLES[sequence % len(_STYLES)]


def has_traffic(sequence: int, share: float) -> bool:
    """Say whether something moves on the street of a sequence.

    Golden-ratio steps: of any few sequences about ``share`` (0 to 1) have traffic, and a sequence
    that has it keeps it when the share grows.
    """
    return (0.4 + sequence * _GOLDEN_RATIO) % 1.0 < share


def class_plan(style: StreetStyle) -> dict[RawLabel, int]:
    """Return how many objects, or patches of ground, of each raw label a street plans at least.

    The surfaces that every street has by construction count 1; lane marking counts as a class of
    its own here.
    """
    plan = {
        RawLabel.ROAD: 1,
        RawLabel.PARKING: 1,
        RawLabel.SIDEWALK: 1,
        RawLabel.OTHER_GROUND: 1,
        RawLabel.BUILDING: 1,
        RawLabel.FENCE: 1,
        RawLabel.LANE_MARKING: 1,
        RawLabel.VEGETATION: 1,
        RawLabel.TRUNK: 1,
        RawLabel.TERRAIN: 1,
    }
    plan.update(_COMMON_OBJECTS)
    plan.update(style.objects)
    return plan
