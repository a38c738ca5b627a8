"""One colour for each method, in all plots, by light and by dark; and plots as SVG that follow them."""

import io
import re
from collections.abc import Sequence

from markupsafe import Markup, escape
from matplotlib import rc_context
from matplotlib.figure import Figure

LIGHT = (
    '#0072b2',
    '#c84e00',
    '#00805c',
    '#a8457d',
    '#8a6d00',
    '#2a8fbf',
    '#4b3ba8',
    '#882255',
    '#5d6b1f',
    '#555b66',
)
"""On white. After Okabe and Ito, and Tol: told apart with any kind of colour vision, side by side."""
DARK = ('#4ba3e3', '#ff8a4c', '#3fcf9f', '#e6a0c8', '#f0c040', '#8fd0f7', '#a394f5', '#e07fae', '#c4c45a', '#b8bfca')
"""The same on a dark page."""
SURFACES = ('#ffffff', '#15181d')
"""What is behind them."""
DASHES = ('solid', (0, (5, 2)), (0, (1.5, 1.5)), (0, (7, 2, 1.5, 2)))
"""Line styles. Neighbours differ in theirs, so that a line is told by more than its colour."""

# Colours that stand in a drawing for those of the page.
_STANDS_FOR = '#0a{:02x}5f'
_INK = {'#000000': 'currentColor', '#ffffff': 'var(--surface)'}


def color_of(number: int) -> str:
    """The colour that stands for a method while it is drawn.

    Args:
        number (int): Of the method.

    Returns:
        str: Hexadecimal; :func:`to_svg` makes it the colour of the page. After ten methods they come again.

    Examples:
        >>> color_of(0), color_of(11)
        ('#0a005f', '#0a015f')
    """
    return _STANDS_FOR.format(number % len(LIGHT))


def dash_of(number: int) -> str | tuple:
    """The line style of a method.

    Args:
        number (int): Of the method.

    Returns:
        str | tuple: As matplotlib has it.

    Examples:
        >>> dash_of(0), dash_of(4) == dash_of(0), dash_of(10) == dash_of(0)
        ('solid', True, False)
    """
    # Another rhythm than that of the colours: method 10 has the colour of method 0, not its style.
    return DASHES[number % len(DASHES)]


def css_variables(colors: Sequence[str]) -> str:
    """Declarations for the style sheet.

    Args:
        colors (Sequence[str]): Hexadecimal.

    Returns:
        str: Of ``--m0`` and those that follow.

    Examples:
        >>> css_variables(('#ffffff', '#000000'))
        '--m0:#ffffff;--m1:#000000'
    """
    return ';'.join(f'--m{number}:{color}' for number, color in enumerate(colors))


def to_svg(figure: Figure, name: str, description: str) -> Markup:
    """A figure as a part of the page: text stays text, colours follow the page.

    Args:
        figure (Figure): Black is drawn as ink, white as what is behind, :func:`color_of` as the method.
        name (str): Unique on the page; letters, digits and hyphens.
        description (str): For those who do not see it.

    Returns:
        Markup: An ``<svg>``.

    Examples:
        >>> svg = to_svg(Figure(figsize=(1, 1)), 'empty', 'nothing & more')
        >>> str(svg)[:58]
        '<svg role="img" aria-label="nothing &amp; more" width="96"'
    """
    file = io.StringIO()
    with rc_context({'svg.fonttype': 'none', 'svg.hashsalt': name}):
        figure.savefig(
            file, format='svg', transparent=True, metadata=dict.fromkeys(('Date', 'Creator', 'Format', 'Type'))
        )
    text = file.getvalue()
    body = re.sub(r'<metadata>.*?</metadata>|<!--.*?-->', '', text[text.index('<svg') :], flags=re.DOTALL)
    # Points in the drawing, pixels on the page: a letter of 8 points is as large as one of the text around.
    width, height = figure.get_size_inches()
    opening = (
        f'<svg role="img" aria-label="{escape(description)}" width="{96 * width:.0f}" height="{96 * height:.0f}" '
        f'viewBox="0 0 {72 * width:g} {72 * height:g}">'
    )
    body = re.sub(r'<svg[^>]*>', lambda _: opening, body, count=1)
    return Markup(_themed(body, name).strip())


def _themed(svg: str, name: str) -> str:
    """With colours of the page, and with names that no other drawing has. Text, which may hold the like, stays."""
    colors = dict(_INK)
    for number in range(len(LIGHT)):
        colors[color_of(number)] = f'var(--m{number})'

    def replace(tag: re.Match) -> str:
        colored = re.sub(r'#[0-9a-f]{6}\b', lambda color: colors.get(color[0], color[0]), tag[0])
        return re.sub(r'(\bid="|href="#|url\(#)', rf'\g<1>{name}-', colored)

    return re.sub(r'<[^>]*>', replace, svg)
