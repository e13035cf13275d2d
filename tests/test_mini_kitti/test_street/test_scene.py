from __future__ import annotations

import numpy as np
import pytest
import trimesh

from mini_kitti import DEFAULT_SEQUENCES
from mini_kitti.assets.raw_labels import RawLabel
from mini_kitti.street.scene import build_scene
from mini_kitti.street.styles import class_plan, style_of


def test_every_class_is_planned_for_train_and_validation() -> None:
    moving = {name for name in DEFAULT_SEQUENCES if name != "11"}
    for names in (moving - {"08", "09"}, {"08"}, {"09"}):
        planned = {label for name in names for label in class_plan(style_of(int(name)))}
        assert planned == set(RawLabel)
        assert all(min(class_plan(style_of(int(name))).values()) >= 1 for name in names)


@pytest.mark.parametrize("sequence", [8, 9])
def test_every_class_is_in_the_validation_streets(sequence: int) -> None:
    scene = build_scene(seed=0, sequence=sequence, drive_length=45.0)
    assert set(np.unique(scene.mesh.label)) == set(map(int, RawLabel))
    # No class is only a sliver.
    area = trimesh.triangles.area(scene.mesh.corners)
    totals = np.bincount(scene.mesh.label, weights=area)
    assert totals[[int(label) for label in RawLabel]].min() > 1.0


def test_layouts_differ_between_sequences() -> None:
    roads = [build_scene(0, sequence, 20.0).road for sequence in (0, 1, 3)]
    turned = [float(road.heading(80.0)) for road in roads]
    assert np.ptp(turned) > 0.5
