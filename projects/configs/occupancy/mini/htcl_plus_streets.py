# htcl_plus.py on 64 synthetic streets, scored on four others: what `make train-mini` trains.
_base_ = ["./htcl_plus.py"]

data_root = "{{$MINI_KITTI_ROOT:data/streets}}"
# The names that tools/make_mini_kitti.py --streets 66 gives; the last two are for validation.
train_sequences = [f"{number:02d}" for number in (*range(8), 10, *range(100, 155))]
val_sequences = ["08", "09", "155", "156"]
# The scene is flipped as a volume: the images of a stereo pair cannot change sides.
augmentations = [
    dict(type="PhotometricJitter", brightness=0.4, contrast=0.4, saturation=0.4),
    dict(type="BEVAugmentation", flip_y_prob=0.5),
]
# With one weight for all, walls, fences and plants, whose distance is uncertain, are never
# predicted, and the ground, which is certain, is too often. In the order of the classes.
class_weights = [
    1.0,  # empty
    4.0,  # car
    5.0,  # bicycle
    5.0,  # motorcycle
    5.0,  # truck
    5.0,  # other-vehicle
    6.0,  # person
    5.0,  # bicyclist
    3.0,  # motorcyclist
    2.5,  # road
    2.5,  # parking
    2.5,  # sidewalk
    4.0,  # other-ground
    7.0,  # building
    7.0,  # fence
    7.0,  # vegetation
    4.0,  # trunk
    4.0,  # terrain
    5.0,  # pole
    5.0,  # traffic-sign
]
train_cfg = dict(val_interval=250)
