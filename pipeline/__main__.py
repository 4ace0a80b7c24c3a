"""``python -m pipeline`` is ``lesveil``."""

import sys

from pipeline.cli import main

sys.exit(main())
