# nuScenes' six cameras and what the benchmarks on them share; a benchmark's file adds its own.
_base_ = ["./loaders.py"]

# One key or the environment variable; docs/nuscenes.md shows the layout.
data_root = "{{$NUSCENES_ROOT:data/nuscenes}}"
# Cameras of a sample, for measurements on inputs of noise.
num_cameras = 6

# The image of 900 x 1600 without its four upper rows: sides are multiples of 32.
input_size = (896, 1600)
num_history = 3
# Key frames of 2 Hz.
history_stride = 1

batch_size = 1
num_workers = 4

# There are no squares ahead of the car, but one around it.
val_evaluator = dict(ranges=())
test_evaluator = val_evaluator
