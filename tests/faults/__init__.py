"""Everything that can go wrong on the way to OneDrive, one case at a time."""
