"""A lesson's whole life, each step a process of its own that may be killed at any point."""
