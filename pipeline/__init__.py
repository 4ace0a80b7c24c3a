"""Lesveil: a filmed lesson goes in; a lesson in which only the right people can be recognised comes out.

The rooms of the house, from the top down: ``cli`` -> ``run`` -> ``stages``, ``adapters``, ``engine`` ->
``consent``, ``settings`` -> ``records``, ``errors``. Imports point down only; ``tests/test_house.py`` holds that line.
"""

import os

__version__ = "0.1.0"

os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")  # read as OpenCV is loaded: what is wrong with a picture, we say
