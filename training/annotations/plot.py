"""The counts as one picture."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from model.labels import LABELS
from training.annotations.stats import Stats
from training.splits import SPLITS


def draw(stats: Stats, path: Path) -> None:
    """Write a PNG: labels, their shares by genre, decades, lengths."""
    kinds = (*LABELS, "none", "multi-label")
    # `Figure` without pyplot draws with Agg and needs no display.
    with mpl.rc_context({"axes.spines.top": False, "axes.spines.right": False, "font.size": 9}):
        figure = Figure(figsize=(11, 8), layout="constrained")
        (labels, genres), (decades, lengths) = figure.subplots(2, 2)

        totals = [sum(stats.splits[split][kind] for split in SPLITS) for kind in kinds]
        bars = labels.barh(kinds, totals, color="#4878a8")
        labels.bar_label(bars, padding=3)
        labels.invert_yaxis()
        labels.set(title="Records", xlim=(0, max(totals) * 1.12))

        counts = np.array(
            [
                [sum(found[split][kind] for split in SPLITS) for kind in ("records", *kinds)]
                for found in stats.genres.values()
            ]
        )
        shares = 100 * counts[:, 1:] / counts[:, :1]
        genres.imshow(shares, cmap="Blues", vmin=0, vmax=100, aspect="auto")
        genres.set_xticks(range(len(kinds)), kinds)
        genres.set_yticks(
            range(len(stats.genres)), [f"{g} ({n})" for g, n in zip(stats.genres, counts[:, 0], strict=True)]
        )
        genres.spines[:].set_visible(False)
        genres.tick_params(length=0)
        genres.set_title("Share of a genre's records, %")
        for (row, column), share in np.ndenumerate(shares):
            colour = "white" if share > 60 else "black"
            genres.text(column, row, f"{share:.0f}", ha="center", va="center", color=colour)

        decades.bar(list(stats.decades), [sum(row.values()) for row in stats.decades.values()], color="#4878a8")
        decades.tick_params(axis="x", rotation=45)
        decades.set_title("Records by decade")

        lengths.hist(stats.word_counts, bins=range(0, max(stats.word_counts) + 3, 2), color="#4878a8")
        lengths.set(title="Records by length in words", xlim=(0, None))

        # Written aside and renamed, like every other file.
        aside = path.with_name(f".{path.name}.part")
        figure.savefig(aside, dpi=120, format="png")
        aside.replace(path)
