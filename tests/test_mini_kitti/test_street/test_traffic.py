"""What moves: where it is when, what it never runs into, and what it leaves as it was."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from mini_kitti.assets.raw_labels import MovingLabel, RawLabel
from mini_kitti.street.scene import StreetScene, build_scene
from mini_kitti.street.styles import has_traffic
from mini_kitti.street.traffic import Drive, Path

DRIVE = Drive(speed=12.0, first=-0.8, last=7.6, end=3.1)
LENGTH = 46.5


@pytest.fixture(scope="module")
def scene() -> StreetScene:
    """Street 00, which is straight."""
    return build_scene(seed=0, sequence=0, drive_length=LENGTH, drive=DRIVE)


def test_path_is_gone_at_a_constant_speed() -> None:
    path = Path.through([(0.0, 0.0), (3.0, 0.0), (3.0, 4.0)], speed=2.0, corner=1, time=5.0)
    assert path.times == pytest.approx((3.5, 5.0, 7.0))
    assert path.at(6.0) == pytest.approx((3.0, 2.0))
    assert path.at([4.0, 9.0]) == pytest.approx(np.array([(1.0, 0.0), (3.0, 4.0)]))
    # It looks where it goes, and turns around the corner.
    assert path.yaw(4.0) == pytest.approx(0.0)
    assert path.yaw(6.0) == pytest.approx(np.pi / 2)
    assert path.yaw(5.0) == pytest.approx(np.pi / 4)


def test_movers_of_all_kinds_move_by_speed_times_time(scene: StreetScene) -> None:
    assert {mover.label for mover in scene.movers} == set(MovingLabel)
    starts = np.cumsum([0, *(len(mover.mesh) for mover in scene.movers)]) + scene.num_static
    middles = []
    for time in (1.0, 1.1):
        scene.move_to(time)
        parts = [scene.mesh.corners[a:b] for a, b in itertools.pairwise(starts)]
        middles.append([part.mean(axis=(0, 1)) for part in parts])
    moved = np.linalg.norm(np.subtract(*middles)[:, :2], axis=1)
    straight = [mover.path.yaw(0.6) == mover.path.yaw(1.5) for mover in scene.movers]
    speeds = np.array([mover.speed for mover in scene.movers])
    assert sum(straight) >= 5
    # Legs swing, so the middle of a walker is not exactly where its path is.
    assert moved[straight] == pytest.approx(0.1 * speeds[straight], rel=0.02, abs=0.02)


def test_movers_carry_their_ids_and_stand_on_the_ground(scene: StreetScene) -> None:
    tail = slice(scene.num_static, None)
    assert set(np.unique(scene.mesh.label[tail])) == {252, 253, 254}
    assert scene.mesh.label[: scene.num_static].max() < 252
    scene.move_to(2.0)
    start = scene.num_static
    for mover in scene.movers:
        corners = scene.mesh.corners[start : start + len(mover.mesh)]
        start += len(mover.mesh)
        s, d = mover.path.at(2.0)
        assert corners[..., 2].min() == pytest.approx(scene.road.elevation(s, d), abs=0.2)
        size = {252: 2.7, 253: 1.1, 254: 0.6}[mover.label]
        assert np.abs(corners[..., :2] - scene.road.world(s, d)[:2]).max() < size


def test_nothing_meets_the_driven_car_or_another_mover(scene: StreetScene) -> None:
    half = {252: (2.3, 0.9), 253: (0.8, 0.3), 254: (0.3, 0.3)}
    times = DRIVE.times
    ego = np.column_stack([DRIVE.speed * times, np.full(len(times), scene.lane)])
    places = [ego, *(mover.path.at(times) for mover in scene.movers)]
    sizes = [(2.3, 0.9), *(half[mover.label] for mover in scene.movers)]
    for i, first in enumerate(places):
        for j in range(i):
            apart = np.abs(first - places[j]) > np.add(sizes[i], sizes[j])
            assert apart.any(axis=1).all()


def test_traffic_leaves_everything_off_the_road_as_it_is(scene: StreetScene) -> None:
    still = build_scene(seed=0, sequence=0, drive_length=LENGTH)
    assert not still.movers
    assert (still.sun == scene.sun).all()
    for label in (RawLabel.ROAD, RawLabel.SIDEWALK, RawLabel.BUILDING, RawLabel.FENCE):
        with_traffic, without = (
            place.mesh.corners[place.mesh.label == label] for place in (scene, still)
        )
        assert (with_traffic == without).all()


@pytest.mark.parametrize("sequence", [8, 9])
def test_every_class_is_left_in_validation_streets_with_traffic(sequence: int) -> None:
    busy = build_scene(seed=0, sequence=sequence, drive_length=LENGTH, drive=DRIVE)
    assert set(np.unique(busy.mesh.label)) >= set(map(int, RawLabel))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 1.0])
def test_share_of_streets_with_traffic(share: float) -> None:
    busy = {number for number in range(100) if has_traffic(number, share)}
    assert len(busy) == pytest.approx(100 * share, abs=2)
    assert all(has_traffic(number, min(1.0, share + 0.2)) for number in busy)
