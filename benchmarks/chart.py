"""Where the time goes, as a picture: a PNG with a bar for each stage, and one for each program as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

COLOURS = {"whole": "#8a8f98", "stage": "#2f6f9f"}


def draw(path: Path, title: str, programs: Mapping[str, float], stages: Mapping[str, float]) -> None:
    """Write ``path``. ``programs`` and ``stages`` are seconds of wall time by name."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = [*programs, *stages]
    values = [*programs.values(), *stages.values()]
    colours = [COLOURS["whole"]] * len(programs) + [COLOURS["stage"]] * len(stages)
    figure, axes = pyplot.subplots(figsize=(9, 0.8 + 0.38 * len(names)), layout="constrained")
    bars = axes.barh(range(len(names)), values, color=colours)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.bar_label(bars, [f"{value:.1f} s" for value in values], padding=4)
    axes.margins(x=0.12)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel("seconds of wall time; stages work side by side, so they add up to more than the whole")
    axes.set_title(title, loc="left")
    figure.savefig(path, dpi=120, metadata={"Software": None})
    pyplot.close(figure)
