"""Faults on purpose: on the way to OneDrive one case at a time, and of card and disk at every point."""
