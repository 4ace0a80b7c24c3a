"""What hiding a region takes: where it lies on whole pixels, what fills a veil, and what is left of a face in it."""
