"""A faithful Graph: an HTTP server that keeps Microsoft's documented rules, and breaks them on cue. See README.md."""
