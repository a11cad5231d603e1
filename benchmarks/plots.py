"""The figures as drawings that can be read in print and on a dark page."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.ticker import FuncFormatter, NullLocator

from benchmarks import memory, report, rivals, standings
from benchmarks.apart import GET, PUT
from benchmarks.contenders import BY_HAND, JOBLIB, OURS
from benchmarks.kinds import KINDS
from benchmarks.rivals import FLOORS, S3
from handoff.sizes import human_size

# Each of these stands out from white and from black alike.
GREY, BLUE, ORANGE, RED = "#808080", "#3a86d8", "#d9822b", "#d04a4a"
GREEN, PURPLE, TEAL = "#3c9a5f", "#9a6fd0", "#2fa3a3"
COLOURS = {
    OURS: BLUE,
    BY_HAND: ORANGE,
    JOBLIB: GREEN,
    rivals.TUTORIAL: GREY,
    **dict.fromkeys(rivals.OF_AIRFLOW, RED),
    **dict.fromkeys(rivals.OF_PREFECT, PURPLE),
    **dict.fromkeys(FLOORS, TEAL),
}
#: A form for each, so that no one has to tell colours apart.
MARKS = dict(zip(rivals.ALL, "oDsv^<>pXPhd+", strict=False))
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


def draw_peers(run: standings.Run, path: Path) -> None:
    """Draw time on each root and bytes at rest, all over ours: a row for each value, a mark for each contender."""
    cases = [(case, found) for case, found in standings.by_case(run.lines) if found[OURS].put]
    who = [name for name in rivals.ALL if name != OURS and any(name in found for _, found in cases)]
    with mpl.rc_context(STYLE):
        figure, axes = plt.subplots(1, 3, figsize=(10, 1.9 + 0.36 * len(cases)), sharey=True)
        for place, (_, found) in enumerate(cases):
            for panel, root in zip(axes, ROOTS, strict=False):
                for name in (name for name in who if name in found and found[name].took_part(root)):
                    if found[OURS].took_part(root):
                        ratio = found[name].middle(root) / found[OURS].middle(root)
                        _mark(panel, ratio, place, found[name])
            for name in (name for name in who if name in found and found[name].stored):
                _mark(axes[2], found[name].stored / (found[OURS].stored or 1), place, found[name])
        titles = [f"put and get, {standings.ROOTS[root]}" for root in ROOTS]
        for panel, title in zip(axes, [*titles, "bytes at rest"], strict=True):
            panel.set_title(title, loc="left")
            panel.axvline(1, color=BLUE, lw=2, zorder=0)
            panel.set_xscale("log")
            panel.xaxis.set_major_formatter(FuncFormatter(lambda ratio, _: f"{ratio:g}"))
            panel.grid(visible=True)
        axes[0].set_yticks(range(len(cases)), [case for case, _ in cases])
        axes[0].set_ylim(len(cases) - 0.5, -0.5)
        axes[1].set_xlabel("handoff = 1 (the line): to the right is slower, or larger; a hollow mark is lossy")
        marks = [plt.Line2D([], [], color=COLOURS[name], marker=MARKS[name], ls="", ms=5, label=name) for name in who]
        figure.legend(handles=marks, loc="upper center", ncols=4, fontsize=8)
        figure.tight_layout(rect=(0, 0, 1, 1 - 0.65 / (1.9 + 0.36 * len(cases))))
        _save(figure, path)


def _mark(panel: Any, ratio: float, place: int, line: standings.Line) -> None:
    colour = COLOURS[line.contender]
    panel.plot(
        ratio, place, MARKS[line.contender], color=colour, mfc="none" if line.is_lossy else colour, ms=5, alpha=0.85
    )


def draw_growth(run: standings.Run, path: Path) -> None:
    """Draw the time of put and get on S3 over size, one kind, a curve for each contender."""
    cases = list(dict.fromkeys(line.case for line in run.growth))
    with mpl.rc_context(STYLE):
        figure, panel = plt.subplots(figsize=(8, 4.2))
        for who in dict.fromkeys(line.contender for line in run.growth):
            lines = [line for line in run.growth if line.contender == who and line.took_part(S3)]
            panel.plot(
                [cases.index(line.case) for line in lines],
                [line.middle(S3) for line in lines],
                color=COLOURS[who],
                ls="-" if who == OURS else "--",
                marker=MARKS[who],
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


def _save(figure: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="svg", metadata={"Date": None})
    plt.close(figure)
