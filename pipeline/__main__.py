"""``python -m pipeline`` is ``lesveil``."""

import sys


def main() -> int:
    """The command line, which takes half a second to load: Ctrl-C in that time ends it quietly, too."""
    try:
        from pipeline.cli import main as command_line
    except KeyboardInterrupt:
        return 130
    return command_line()


if __name__ == "__main__":
    sys.exit(main())
