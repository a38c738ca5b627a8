"""Tables for readers: on the terminal and as Markdown."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import JustifyMethod
from rich.table import Table as RichTable


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]], alignment: Sequence[str] | None = None) -> str:
    r"""A table in Markdown.

    Args:
        header (Sequence[str]): Headings of the columns.
        rows (Sequence[Sequence[str]]): Cells; bars inside a cell are escaped.
        alignment (Sequence[str], optional): Rule below each heading, '---' or '---:'. By default names, which come
            first, are at the left, and figures at the right.

    Returns:
        str: Lines without a last line break.

    Examples:
        >>> print(markdown_table(['name', '|d|'], [['a', '1']]))
        | name | \|d\| |
        | --- | ---: |
        | a | 1 |
    """
    if alignment is None:
        alignment = ['---', *['---:'] * (len(header) - 1)]
    lines = []
    for cells in (header, alignment, *rows):
        escaped = [cell.replace('|', '\\|') for cell in cells]
        lines.append(f'| {" | ".join(escaped)} |')
    return '\n'.join(lines)


@dataclass
class Sheet:
    """A table for readers."""

    title: str
    header: list[str]
    rows: list[list[str]]
    note: str = ''
    """Shown below."""

    def to_rich(self, title_justify: JustifyMethod = 'left') -> RichTable:
        """The table for the terminal.

        Args:
            title_justify (str): Where the title stands.

        Returns:
            RichTable: Figures at the right.

        Examples:
            >>> Sheet('Times', ['name', 'ms'], [['a', '1']]).to_rich().row_count
            1
        """
        table = RichTable(
            title=self.title, title_justify=title_justify, caption=self.note or None, caption_justify='left'
        )
        for i, name in enumerate(self.header):
            # Narrow terminals break headings, never figures.
            width = max((len(row[i]) for row in self.rows), default=0)
            table.add_column(name, justify='right' if i else 'left', overflow='fold', min_width=width)
        for row in self.rows:
            table.add_row(*row)
        return table

    def to_markdown(self, heading: str = '## {}') -> str:
        """The table for a file.

        Args:
            heading (str): Line above, with ``{}`` for the title.

        Returns:
            str: Heading, table and note, each followed by an empty line; the last line has its break.

        Examples:
            >>> print(Sheet('Times', ['name', 'ms'], [['a', '1']]).to_markdown('**{}**'))
            **Times**
            <BLANKLINE>
            | name | ms |
            | --- | ---: |
            | a | 1 |
            <BLANKLINE>
        """
        blocks = [heading.format(self.title), markdown_table(self.header, self.rows)]
        if self.note:
            blocks.append(self.note)
        return '\n\n'.join(blocks) + '\n'
