"""What cameras and lidar see of a street."""
