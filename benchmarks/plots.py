"""The figures as drawings that can be read in print and on a dark page."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.ticker import FuncFormatter, NullLocator

from benchmarks import memory, report, results, standings
from benchmarks.apart import GET, PUT
from benchmarks.contenders import BY_HAND, OURS
from benchmarks.kinds import KINDS
from benchmarks.rivals import FLOORS, S3
from handoff.sizes import human_size

# Each of these stands out from white and from black alike.
GREY, BLUE, ORANGE, RED = "#808080", "#3a86d8", "#d9822b", "#d04a4a"
COLOURS = {OURS: BLUE, BY_HAND: ORANGE}
STYLE: dict[Any, Any] = {
    "axes.edgecolor": GREY,
    "axes.facecolor": "none",
    "axes.labelcolor": GREY,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": GREY,
    "axes.titlesize": 10,
    "figure.facecolor": "none",
    "font.size": 9,
    "grid.alpha": 0.3,
    "grid.color": GREY,
    "legend.frameon": False,
    "legend.labelcolor": GREY,
    "savefig.transparent": True,
    "svg.fonttype": "none",
    "svg.hashsalt": "handoff",  # the same figures give the same file
    "text.color": GREY,
    "xtick.color": GREY,
    "ytick.color": GREY,
}
ROOTS = tuple(standings.ROOTS)
LEAST = memory.MIB  # below it all is the same, and a logarithm has no zero


def draw_memory(run: memory.Run, path: Path) -> None:
    """Draw peak over size: a row for each kind, puts on the left and gets on the right."""
    cells = [cell for cell in run.cells if not cell.error]
    kinds = [kind for kind in memory.MEASURED if any(cell.kind == kind for cell in run.cells)]
    sizes = sorted({cell.size for cell in run.cells})
    with mpl.rc_context(STYLE):
        figure, axes = plt.subplots(
            len(kinds), 2, figsize=(8, 1.2 + 1.7 * len(kinds)), sharex=True, sharey=True, squeeze=False
        )
        for row, kind in zip(axes, kinds, strict=True):
            for panel, act in zip(row, (PUT, GET), strict=True):
                _draw_curves(panel, [cell for cell in cells if (cell.kind, cell.act) == (kind, act)])
                panel.plot(sizes, [memory.bound(size) for size in sizes], color=GREY, lw=1, ls=":", label="bound")
                panel.set_title(f"{act}: {KINDS[kind].title}", loc="left")
                panel.grid(visible=True)
        _scale(axes[0][0], sizes)
        figure.supylabel("peak memory above the value (1 MiB and less is 1 MiB)", fontsize=9)
        figure.supxlabel("size of the value", fontsize=9)
        found = {
            label: line for panel in axes.flat for line, label in zip(*panel.get_legend_handles_labels(), strict=True)
        }
        figure.legend(found.values(), found.keys(), loc="upper center", ncols=5)
        figure.tight_layout(rect=(0, 0, 1, 1 - 0.4 / (1.2 + 1.7 * len(kinds))))
        _save(figure, path)


def draw_values(run: results.Run, path: Path) -> None:
    """Draw time and bytes at rest over those by hand: a row for each value, a dot for each contender."""
    cases = [(case, found) for case, found in results.by_case(run.lines) if not found[BY_HAND].error]
    heights = [len(_shown(found)) for _, found in cases]
    with mpl.rc_context(STYLE):
        figure, axes = plt.subplots(
            len(cases),
            2,
            figsize=(8, 1.5 + 0.62 * len(cases) + 0.2 * sum(heights)),
            sharex="col",
            squeeze=False,
            height_ratios=heights,
        )
        for row, (case, found) in zip(axes, cases, strict=True):
            _draw_dots(row[0], found)
            _draw_sizes(row[1], found)
            row[0].set_title(case, loc="left")
            for panel in row:
                panel.set_ylim(len(_shown(found)) - 0.5, -0.5)
                panel.grid(visible=True, axis="x")
        axes[-1][0].set_xlabel(f"time of put and get, by hand = 1; the aim is {results.AIM:.2f}")
        axes[-1][1].set_xlabel("bytes at rest, by hand = 1")
        figure.tight_layout()
        _save(figure, path)


def draw_peers(run: standings.Run, path: Path) -> None:
    """Draw time over the floor's on each root, and bytes at rest over ours: a row for each value."""
    cases = [
        (case, [line for line in found.values() if line.put], {root: standings.floor_of(found, root) for root in ROOTS})
        for case, found in standings.by_case(run.lines)
    ]
    heights = [len(lines) for _, lines, _ in cases]
    with mpl.rc_context(STYLE):
        size = (9, 1.5 + 0.55 * len(cases) + 0.19 * sum(heights))
        figure, axes = plt.subplots(len(cases), 3, figsize=size, sharex="col", squeeze=False, height_ratios=heights)
        for row, (case, lines, floors) in zip(axes, cases, strict=True):
            for panel, root in zip(row, ROOTS, strict=False):
                _draw_places(panel, lines, floors[root], root)
            _draw_rest(row[2], lines)
            names = [line.name + " (lossy)" * line.is_lossy for line in lines]
            for place, panel in enumerate(row):
                panel.set_yticks(range(len(lines)), [] if place else names)
                panel.set_ylim(len(lines) - 0.5, -0.5)
            row[0].set_title(case, loc="left")
        for panel, root in zip(axes[-1], ROOTS, strict=False):
            panel.set_xlabel(f"put and get, {standings.ROOTS[root]}:\ntime over the raw client's")
        axes[-1][2].set_xlabel("bytes at rest,\nhandoff = 1")
        figure.tight_layout()
        _save(figure, path)


def draw_growth(run: standings.Run, path: Path) -> None:
    """Draw the time of put and get on S3 over size, one kind, a curve for each contender."""
    cases = list(dict.fromkeys(line.case for line in run.growth))
    with mpl.rc_context(STYLE):
        figure, panel = plt.subplots(figsize=(8, 4.2))
        for number, who in enumerate(dict.fromkeys(line.contender for line in run.growth)):
            lines = [line for line in run.growth if line.contender == who and line.took_part(S3)]
            panel.plot(
                [cases.index(line.case) for line in lines],
                [line.middle(S3) for line in lines],
                color=COLOURS.get(who, GREY),
                ls="-" if who in COLOURS else (0, (1 + number, 1 + number // 2)),
                marker="osv^Dx"[number % 6],
                ms=4,
                lw=1.4,
                label=lines[0].name if lines else who,
            )
        panel.set_xticks(range(len(cases)), cases)
        panel.set_yscale("log")
        panel.yaxis.set_minor_locator(NullLocator())
        panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: report.seconds(value).replace(".0", "")))
        panel.set_xlabel("floats: size of the array")
        panel.set_ylabel("put and get on S3")
        panel.grid(visible=True)
        panel.legend(loc="upper left")
        figure.tight_layout()
        _save(figure, path)


def _draw_places(panel: Any, lines: list[standings.Line], floor: standings.Line | None, root: str) -> None:
    for place, line in enumerate(lines):
        if floor and line.took_part(root):
            found = standings.ratios(line, floor, root)
            low, high = results.quartiles(found)
            colour = ORANGE if line.contender in FLOORS else COLOURS[OURS] if line.contender == OURS else GREY
            panel.plot([low, high], [place, place], color=colour, lw=2, alpha=0.6)
            filled = "none" if line.is_lossy else colour
            panel.plot(statistics.median(found), place, "o", color=colour, mfc=filled, ms=5)
    panel.axvline(1, color=GREY, lw=1)
    panel.set_xscale("log")
    panel.xaxis.set_major_formatter(FuncFormatter(lambda ratio, _: f"{ratio:g}"))
    panel.grid(visible=True, axis="x")


def _draw_rest(panel: Any, lines: list[standings.Line]) -> None:
    ours = next((line.stored for line in lines if line.contender == OURS), 0)
    for place, line in enumerate(lines):
        share = line.stored / ours if ours else 0
        panel.barh(place, share, color=COLOURS[OURS] if line.contender == OURS else GREY, height=0.5, alpha=0.8)
        panel.text(share, place, f" {human_size(line.stored)}", va="center", fontsize=7)
    panel.spines["left"].set_visible(False)
    panel.margins(x=0.4)


def _draw_curves(panel: Any, cells: Iterable[memory.Cell]) -> None:
    lines: dict[tuple[str, str], list[memory.Cell]] = {}
    for cell in cells:
        lines.setdefault((cell.contender, cell.root), []).append(cell)
    for (contender, root), points in lines.items():
        is_local = root == memory.LOCAL
        panel.plot(
            [cell.size for cell in points],
            [max(LEAST, cell.peak) for cell in points],
            color=COLOURS[contender],
            ls="-" if is_local else "--",
            marker="o" if is_local else "s",
            mfc=COLOURS[contender] if is_local else "none",
            ms=4,
            lw=1.4,
            label=f"{contender}, {memory.ROOTS[root]}",
        )


def _scale(panel: Any, sizes: list[int]) -> None:
    panel.set_xscale("log", base=2)
    panel.set_yscale("log", base=4)
    panel.set_xticks(sizes)
    panel.xaxis.set_minor_locator(NullLocator())
    for axis in (panel.xaxis, panel.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda size, _: human_size(int(size)).replace(".0", "")))


def _shown(found: dict[str, results.Line]) -> list[results.Line]:
    return [line for line in found.values() if not line.error]


def _draw_dots(panel: Any, found: dict[str, results.Line]) -> None:
    lines = _shown(found)
    for place, line in enumerate(lines):
        ratios = results.ratios(line, found[BY_HAND])
        low, high = results.quartiles(ratios)
        colour = COLOURS.get(line.contender, GREY)
        panel.plot([low, high], [place, place], color=colour, lw=2, alpha=0.6)
        panel.plot(statistics.median(ratios), place, "o", color=colour, mfc=colour if line.same else "none", ms=6)
    panel.set_yticks(range(len(lines)), [line.name if line.same else f"{line.name} (lossy)" for line in lines])
    panel.axvline(1, color=GREY, lw=1)
    panel.axvline(results.AIM, color=GREY, lw=1, ls=":")
    panel.set_xscale("log")
    panel.xaxis.set_major_formatter(FuncFormatter(lambda ratio, _: f"{ratio:g}"))


def _draw_sizes(panel: Any, found: dict[str, results.Line]) -> None:
    lines = _shown(found)
    for place, line in enumerate(lines):
        share = line.stored / found[BY_HAND].stored
        panel.barh(place, share, color=COLOURS.get(line.contender, GREY), height=0.5, alpha=0.8)
        panel.text(share, place, f" {human_size(line.stored)}", va="center", fontsize=8)
    panel.set_yticks([])
    panel.spines["left"].set_visible(False)
    panel.margins(x=0.3)


def _save(figure: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="svg", metadata={"Date": None})
    plt.close(figure)
