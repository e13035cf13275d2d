"""A street: its course, lots, ground and furniture, and the drive along it."""
