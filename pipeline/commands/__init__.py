"""One module per group of commands: words in, words and JSON out. Each adds its own parsers (``add_to``)."""
