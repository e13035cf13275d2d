"""What stands on a street: bodies with surfaces, materials and textures."""
