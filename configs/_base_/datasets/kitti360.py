# SSCBench-KITTI-360 at full size: a clip of the left camera, the right image, poses, lidar in
# training.
_base_ = ["./loaders.py"]

dataset_type = "KITTI360SSC"
specification = dict(base="SSCBench-KITTI-360")
# One key or the environment variable; docs/kitti360.md shows the layout.
data_root = "{{$KITTI360_ROOT:data/kitti360}}"

# The whole image of 376 x 1408 as it is, below eight black rows: sides are multiples of 32.
input_size = (384, 1408)
num_history = 3
# Frames of 10 Hz, so half a second; the voxels exist for every fifth.
history_stride = 5

batch_size = 2
num_workers = 4

# The labels of the test drive are public: everyone in the field reports it.
test_dataloader = dict(dataset=dict(split="test", sequences="${test_sequences}"))
