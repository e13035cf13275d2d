"""Making room on a street: Placer.clear and try_place with ``keep``."""

from __future__ import annotations

import numpy as np
import pytest

from mini_kitti.assets.materials import Material
from mini_kitti.assets.raw_labels import RawLabel
from mini_kitti.assets.solids import box
from mini_kitti.assets.surface import Surface
from mini_kitti.street.layout import StreetLayout
from mini_kitti.street.placer import Placer
from mini_kitti.street.road import Road
from mini_kitti.street.styles import style_of

CUBE = box((0, 0, 0.5), (1, 1, 1), Surface(RawLabel.CAR, Material.PAINT, (0.5, 0.5, 0.5)))
HALF = (0.5, 0.5)


@pytest.fixture
def placer() -> Placer:
    """A straight street, driven at d = -2, with things 0 and 1 at d = 2 and 2 at d = 5."""
    rng, style = np.random.default_rng(0), style_of(0)
    road = Road(rng, -10.0, 90.0, (), 0.0, 8.0)
    layout = StreetLayout(style, -10.0, 90.0, 60.0, rng)
    result = Placer(road, layout.ground_plan(road, 0), -2.0, 60.0)
    for s, d in ((10.0, 2.0), (20.0, 2.0), (10.0, 5.0)):
        assert result.try_place(CUBE, s, d, 0.0, HALF)
    return result


def test_cleared_strip_is_free(placer: Placer) -> None:
    spots = np.array([(10.0, 2.0), (20.0, 2.0)])
    assert placer.is_taken(spots, np.array(HALF))
    assert not placer.is_taken(spots + np.array((3.0, 0.0)), np.array(HALF))
    # 1.4 + 0.5 m reach to d = 4.4, no farther.
    assert placer.clear(2.5, 1.4) == {0, 1}
    assert not placer.is_taken(spots, np.array(HALF))
    assert len(placer.meshes) == 1
    assert placer.count == 3
    assert placer.clear(2.5, 1.4) == set()


def test_only_what_is_not_kept_makes_room(placer: Placer) -> None:
    assert not placer.try_place(CUBE, 10.4, 2.0, 0.0, HALF)
    assert not placer.try_place(CUBE, 10.4, 2.0, 0.0, HALF, keep={0})
    assert placer.try_place(CUBE, 10.4, 2.0, 0.0, HALF, keep={1, 2})
    assert len(placer.meshes) == 3
    # The driven lane stays free whatever else makes room, and so do reserved places.
    assert not placer.try_place(CUBE, 30.0, -2.0, 0.0, HALF, keep=())
    placer.reserve(40.0, 2.0, 1.0, 1.0)
    assert not placer.try_place(CUBE, 40.0, 2.0, 0.0, HALF, keep=())
