"""``python -m tests.graph --port 8765 --root DIR``: the faithful Graph by hand, on this machine only."""

from __future__ import annotations

import argparse
import os
import sys
import threading
from pathlib import Path

from tests.graph.server import Graph


def main() -> None:
    words = argparse.ArgumentParser(prog="python -m tests.graph", description=__doc__)
    words.add_argument("--port", type=int, default=0, help="0 (the default) takes a free one and says which")
    words.add_argument("--root", type=Path, required=True, metavar="DIR", help="where the drives' files are kept")
    words.add_argument("--seconds", type=float, default=3600, help="stops by itself after this long (default 3600)")
    words.add_argument("--with-parent", action="store_true", help="ends when standard input closes")
    asked = words.parse_args()
    asked.root.mkdir(parents=True, exist_ok=True)
    server = Graph(asked.port, asked.root)
    clock = threading.Timer(asked.seconds, server.shutdown)
    clock.daemon = True
    clock.start()
    if asked.with_parent:
        threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    print(f"{server.base}", flush=True)
    try:
        server.serve_forever(poll_interval=0.2)
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()


if __name__ == "__main__":
    main()
