# Occ3D-nuScenes: 200 x 200 x 16 voxels around the car, scored where cameras see.
_base_ = ["./nuscenes.py"]

dataset_type = "Occ3DNuScenes"
specification = dict(base="Occ3D-nuScenes")
