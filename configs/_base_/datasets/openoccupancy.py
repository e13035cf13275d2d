# OpenOccupancy (nuScenes-Occupancy v0.1): 512 x 512 x 40 voxels around the lidar.
_base_ = ["./nuscenes.py"]

dataset_type = "NuScenesOccupancy"
specification = dict(base="OpenOccupancy")
