"""A scene beside what a network makes of it, and the colours of its classes.

As in `eojax.drawing.figures`, every function writes one PNG, complete or not at all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, PercentFormatter

from eojax.apps.map_scene.coordinates import Frame, draw_ticks
from eojax.drawing.class_colours import NO_DATA_COLOUR, Colour, rgb
from eojax.drawing.guarantees import size_colours
from eojax.drawing.style import TEXT, bare_axes, legend_label, new_figure, save_figure

# In inches: a panel's longest side, the space between panels, titles, what explains them below.
_PANEL, _GAP, _TITLE, _BELOW = 3.7, 0.22, 0.62, 1.3
_TICKS = 0.24  # the room of coordinates beside the scene and below it
_SHOWN_CLASSES = 11


class Overview(NamedTuple):
    """A scene and its map, small enough for a figure.

    Attributes:
      title: of the scene.
      picture: uint8 `[height, width, 3]`, or 1 band for grey.
      valid: bool `[height, width]`, where the picture holds data.
      classes: int `[height, width]`, -1 where nothing was classified.
      confidence: float32 `[height, width]`, max p(y|x), NaN where nothing was classified.
      log_density: the same of log p(x); None for a method without it.
      threshold: log p(x) below which a place is unlike the training set; None where not known.
      threshold_text: its meaning.
      share_unseen: of the patches, or of the pixels where each has log p(x) of its own.
      shares: by class name, of the scene's area.
      pixel_metres: of the figure's pixels on the ground; None where that is not known.
      frame: its coordinates; None where it has none.
      open_class: the number of the class of what is left open; None where nothing is.
      set_sizes: int `[height, width]`, classes in the set of each place, -1 where nothing was
        classified; None without sets.
      level: of these sets.
    """

    title: str
    picture: np.ndarray
    valid: np.ndarray
    classes: np.ndarray
    confidence: np.ndarray
    log_density: np.ndarray | None
    threshold: float | None
    threshold_text: str
    share_unseen: float | None
    shares: Mapping[str, float]
    pixel_metres: float | None
    frame: Frame | None = None
    open_class: int | None = None
    set_sizes: np.ndarray | None = None
    level: float = 0.0


def scene_map(
    overview: Overview, names: Sequence[str], colours: Sequence[Colour], path: str | Path
) -> None:
    """Writes scene, map with its legend, confidence, log p(x) and sizes of sets side by side.

    Args:
      names, colours: of the classes.
      path: of the PNG.
    """
    height, width = overview.classes.shape
    scale = _PANEL / max(height, width)
    # Wide enough for a legend of two columns below a narrow scene.
    high, wide = max(height * scale, 0.6), max(width * scale, 3.6)
    num = 3 + (overview.log_density is not None) + (overview.set_sizes is not None)
    room = 0.0 if overview.frame is None else _TICKS
    full = (room + num * wide + (num + 1) * _GAP, _TITLE + high + room + _BELOW)
    figure = new_figure(*full, layout=None)
    figure.text(_GAP / full[0], 1 - 0.1 / full[1], overview.title, size=12, va='top')

    def axes(number: int, bottom: float, tall: float, margin: float = 0.0) -> Axes:
        left = room + _GAP + number * (wide + _GAP) + margin
        return figure.add_axes(
            (left / full[0], bottom / full[1], (wide - 2 * margin) / full[0], tall / full[1])
        )

    upper = [axes(number, _BELOW + room, high) for number in range(num)]
    below = [axes(number, 0.1, _BELOW - 0.18) for number in range(2)]
    for panel in upper:
        panel.set(facecolor=NO_DATA_COLOUR, anchor='NW')
        bare_axes(panel)
    for panel in below:
        panel.axis('off')
    upper[0].imshow(stretched(overview.picture, overview.valid), cmap='gray')
    upper[0].set_title('scene', loc='left', size=10)
    if overview.frame is not None:
        draw_ticks(upper[0], overview.frame, height, width)
    _scale_bar(below[0], overview.pixel_metres, width * wide / (width * scale))
    system = '' if overview.frame is None else overview.frame.system
    below[0].text(0, 0.62, system, transform=below[0].transAxes, va='top', size=8.5, color=TEXT)
    upper[1].imshow(coloured(overview.classes, colours), interpolation='nearest')
    upper[1].set_title('class map', loc='left', size=10)
    if overview.open_class is not None:
        _hatch(upper[1], overview.classes == overview.open_class)
    open_name = None if overview.open_class is None else names[overview.open_class]
    _legend(below[1], overview.shares, dict(zip(names, colours, strict=True)), open_name)
    upper[2].set_title('confidence, max p(y|x)', loc='left', size=10)
    draw_confidence(figure, upper[2], axes(2, _BELOW - 0.3, 0.14, margin=0.1), overview)
    if overview.log_density is not None:
        upper[3].set_title('log p(x), unnormalised', loc='left', size=10)
        density_panel(figure, upper[3], axes(3, _BELOW - 0.3, 0.14, margin=0.1), overview)
    if overview.set_sizes is not None:
        bar = axes(num - 1, _BELOW - 0.3, 0.14, margin=0.1)
        _size_panel(upper[num - 1], bar, overview.set_sizes, overview.level)
    save_figure(figure, path)


def _hatch(axes: Axes, chosen: np.ndarray) -> None:
    """Hatches what is left open: its grey alone might pass for a class."""
    if chosen.any():
        drawn = axes.contourf(
            chosen.astype(float), levels=[0.5, 1.5], colors='none', hatches=['////////']
        )
        drawn.set(edgecolor='white', linewidth=0.0)


def _size_panel(axes: Axes, bar: Axes, sizes: np.ndarray, level: float) -> None:
    """How many classes the set of each place has, and below it what the colours say."""
    largest = max(int(sizes.max(initial=1)), 1)
    colours = size_colours(largest + 1)
    axes.imshow(coloured(sizes, colours), interpolation='nearest')
    axes.set_title(f'classes in sets of level {level:.0%}', loc='left', size=10)
    first = 0 if (sizes == 0).any() else 1
    shown = np.array([colours[first:]], np.uint8)
    bar.imshow(shown, aspect='auto', extent=(first - 0.5, largest + 0.5, 0, 1))
    step = -(-(largest + 1) // 12)
    bar.set_xticks(range(first, largest + 1, step))
    bar.set_yticks([])
    _tidy(bar)


def draw_confidence(figure: Figure, axes: Axes, bar: Axes, overview: Overview) -> None:
    """max p(y|x), and below it what the colours say."""
    image = axes.imshow(overview.confidence, cmap='viridis', vmin=0, vmax=1)
    figure.colorbar(image, bar, orientation='horizontal', format=PercentFormatter(1.0))
    _tidy(bar)


def density_panel(
    figure: Figure, axes: Axes, bar: Axes, overview: Overview, brief: bool = False
) -> None:
    """log p(x) in blue, and in orange where it is below the training set's threshold.

    Args:
      brief: without the line that says so.
    """
    assert overview.log_density is not None
    threshold = -np.inf if overview.threshold is None else overview.threshold
    present = overview.log_density[np.isfinite(overview.log_density)]
    low, high = np.percentile(present, [1, 99]) if len(present) else (0.0, 1.0)
    high = max(high, threshold)
    width = max(float(high - low), 1e-6 * max(abs(low), 1.0))
    low, high = float(high) - width, float(high)
    cut = float(np.clip((threshold - low) / width, 0.0, 1.0))
    image = axes.imshow(overview.log_density, cmap=_split_map(cut), vmin=low, vmax=high)
    figure.colorbar(image, bar, orientation='horizontal', extend='both')
    bar.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    _tidy(bar)
    if overview.threshold is None or brief:
        return
    share = '' if overview.share_unseen is None else f' ({overview.share_unseen:.1%} of the map)'
    meaning = overview.threshold_text.replace(' of the', '\nof the')
    note = f'orange: below {overview.threshold:.2f}, {meaning}{share}'
    bar.text(0, -2.4, note, transform=bar.transAxes, va='top', size=9, color=TEXT)


def _split_map(cut: float) -> Colormap:
    """Oranges below the share `cut` of the range, blues above it."""
    oranges, blues = ('#c4440a', '#fdae6b'), ('#d6e6f4', '#08306b')
    if cut <= 0.0:
        stops = [(0.0, blues[0]), (1.0, blues[1])]
    elif cut >= 1.0:
        stops = [(0.0, oranges[0]), (1.0, oranges[1])]
    else:
        stops = [(0.0, oranges[0]), (cut, oranges[1]), (cut, blues[0]), (1.0, blues[1])]
    colours = LinearSegmentedColormap.from_list('split', stops, N=1024)
    return colours.with_extremes(bad=NO_DATA_COLOUR)


def _tidy(bar: Axes) -> None:
    bar.spines[:].set_visible(False)
    bar.tick_params(labelsize=9, length=3)


def stretched(picture: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """The picture with its darkest and brightest 2% at the ends, all bands alike."""
    seen = picture[valid]
    low, high = np.percentile(seen, [2, 98]) if len(seen) else (0.0, 255.0)
    stretched = np.clip((picture - low) / max(high - low, 1.0), 0.0, 1.0)
    stretched = stretched.repeat(3, -1) if stretched.shape[-1] == 1 else stretched
    stretched[~valid] = np.array(rgb(NO_DATA_COLOUR)) / 255.0
    return stretched


def coloured(classes: np.ndarray, colours: Sequence[Colour]) -> np.ndarray:
    table = np.array([*colours, rgb(NO_DATA_COLOUR)], np.uint8)  # -1 is the last one
    return table[classes]


def _legend(
    axes: Axes,
    shares: Mapping[str, float],
    colours: Mapping[str, Colour],
    open_name: str | None = None,
) -> None:
    """The classes that are there, with their share of the scene, in two columns.

    Args:
      open_name: of what is left open, which is hatched.
    """
    present = sorted((name for name in shares if shares[name] > 0), key=lambda n: -shares[n])
    entries = [(name, colours[name], shares[name]) for name in present]
    if len(entries) > _SHOWN_CLASSES + 1:
        rest = sum(share for *_, share in entries[_SHOWN_CLASSES:])
        more = f'{len(entries) - _SHOWN_CLASSES} more classes'
        entries = [*entries[:_SHOWN_CLASSES], (more, (255, 255, 255), rest)]
    empty = 1.0 - sum(shares.values())
    if empty > 5e-4:
        entries.append(('not classified', rgb(NO_DATA_COLOUR), empty))
    handles = [Patch(facecolor='#{:02x}{:02x}{:02x}'.format(*colour)) for _, colour, _ in entries]
    for handle, (name, *_) in zip(handles, entries, strict=True):
        if name == open_name:
            handle.set(hatch='////////', edgecolor='white', linewidth=0.0)
    labels = [legend_label(f'{name} {share:.1%}') for name, _, share in entries]
    axes.legend(
        handles, labels, ncols=2, loc='upper left', bbox_to_anchor=(0, 1), frameon=False,
        fontsize=8.5, borderaxespad=0, borderpad=0, handlelength=1.1, handleheight=0.9,
        columnspacing=1.0, labelspacing=0.35,
    )  # fmt: skip


def _scale_bar(axes: Axes, metres: float | None, width: float) -> None:
    """A bar of a round number of kilometres, in a panel that is `width` of the picture's pixels."""
    axes.set(xlim=(0, width), ylim=(0, 1))
    if metres is None:
        return
    longest = 0.5 * width * metres
    power = 10.0 ** math.floor(math.log10(longest))
    length = max(step * power for step in (1, 2, 5) if step * power <= longest)
    text = f'{length / 1000:g} km' if length >= 1000 else f'{length:g} m'
    pixels = length / metres
    axes.plot([1, pixels], [0.93, 0.93], color=TEXT, linewidth=3, solid_capstyle='butt')
    axes.text(pixels / 2, 0.86, text, ha='center', va='top', size=9, color=TEXT)
