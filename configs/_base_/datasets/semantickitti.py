# SemanticKITTI at full size: a clip of the left camera, the right image, poses, lidar in training.
_base_ = ["./loaders.py"]

dataset_type = "SemanticKITTISSC"
specification = dict(base="SemanticKITTI")
# One key or the environment variable; docs/data.md shows the accepted layouts.
data_root = "{{$SEMANTICKITTI_ROOT:data/occupancy/semanticKITTI/RGB}}"

input_size = (384, 1280)
num_history = 3
# Frames of 10 Hz, so half a second; the voxels exist for every fifth.
history_stride = 5

batch_size = 2
num_workers = 4
