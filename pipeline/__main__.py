"""``python -m pipeline`` is ``lesveil``."""

import os
import sys

# Before numpy: nothing here multiplies large matrices, and OpenBLAS would start a thread per core to wait for some.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

INTERRUPTED = 130

STREAMS = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))
"""In the order of their numbers."""


def main() -> int:
    """The command line, which takes half a second to load: Ctrl-C in that time ends it quietly, too, and so does one
    that comes while another is heeded."""
    try:
        _hold_streams()
        from pipeline.cli import main as command_line

        code = command_line()
    except KeyboardInterrupt:
        code = INTERRUPTED
    if code == INTERRUPTED:
        # All is put away, or the next run does so; but networks may still be at a picture, and taking the interpreter
        # down under them now and then ends in a crash that says something else than "interrupted".
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        os._exit(code)
    return code


def _hold_streams() -> None:
    """What starts us without a standard stream (a scheduler, a program of windows) leaves its number to the first file
    that is opened, a film say, and what a library prints would go there; so it would in our workers."""
    for name, mode in STREAMS:
        if getattr(sys, name) is None:
            stream = open(os.devnull, mode, encoding="utf-8")  # noqa: SIM115 - as long as we are at work
            os.set_inheritable(stream.fileno(), True)
            setattr(sys, name, stream)


if __name__ == "__main__":
    sys.exit(main())
