"""Surface materials of the synthetic street."""

from __future__ import annotations

from enum import IntEnum

import numpy as np

__all__ = ["REMISSION", "Material"]


class Material(IntEnum):
    """What a surface is made of: chooses its texture and its lidar remission."""

    ASPHALT = 0
    MARKING = 1
    PAVING = 2
    COBBLE = 3
    GRAVEL = 4
    GRASS = 5
    FACADE = 6
    ROOF = 7
    WOOD = 8
    LEAF = 9
    BARK = 10
    METAL = 11
    SIGN_FACE = 12
    CLOTH = 13
    RUBBER = 14
    GLASS = 15
    PAINT = 16
    LAMP = 17
    CONCRETE = 18
    BRICK = 19


_REMISSION = {
    Material.ASPHALT: 0.22,
    Material.MARKING: 0.62,
    Material.PAVING: 0.34,
    Material.COBBLE: 0.28,
    Material.GRAVEL: 0.38,
    Material.GRASS: 0.40,
    Material.FACADE: 0.36,
    Material.ROOF: 0.30,
    Material.WOOD: 0.33,
    Material.LEAF: 0.42,
    Material.BARK: 0.30,
    Material.METAL: 0.45,
    Material.SIGN_FACE: 0.95,
    Material.CLOTH: 0.35,
    Material.RUBBER: 0.08,
    Material.GLASS: 0.05,
    Material.PAINT: 0.30,
    Material.LAMP: 0.75,
    Material.CONCRETE: 0.33,
    Material.BRICK: 0.26,
}

# Mean lidar remission in [0, 1], indexed by Material.
REMISSION = np.array([_REMISSION[material] for material in Material], dtype=np.float32)
