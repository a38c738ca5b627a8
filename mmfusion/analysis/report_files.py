"""Reports on disk: text and JSON."""

import csv
import io
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path


def without_nan(value: object) -> object:
    """JSON knows no NaN; null instead.

    Examples:
        >>> without_nan(dict(a=[1.0, math.nan], b='x'))
        {'a': [1.0, None], 'b': 'x'}
    """
    if isinstance(value, dict):
        return {key: without_nan(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_nan(entry) for entry in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def json_text(report: object) -> str:
    r"""A report as JSON.

    Args:
        report (object): Nested dicts and lists of numbers and strings. NaN becomes null.

    Returns:
        str: Indented, with a last line break.

    Examples:
        >>> json_text(dict(mean=math.nan))
        '{\n  "mean": null\n}\n'
    """
    return json.dumps(without_nan(report), indent=2) + '\n'


def csv_text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table as CSV, figures with full precision.

    Args:
        header (Sequence[str]): Names of the columns.
        rows (Iterable[Sequence[object]]): Their values.

    Returns:
        str: One line each.

    Examples:
        >>> csv_text(['name', 'value'], [['a, b', 0.1]]).splitlines()
        ['name,value', '"a, b",0.1']
    """
    text = io.StringIO()
    csv.writer(text, lineterminator='\n').writerows([header, *rows])
    return text.getvalue()


def write_text(path: Path | None, text: str) -> None:
    """Write a file, and make its folder where there is none yet.

    Args:
        path (Path, optional): Where. Nothing is written without one, which is what an option that was not given means.
        text (str): What.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_text(Path(folder, 'deep/report.md'), 'text')
        ...     Path(folder, 'deep/report.md').read_text()
        'text'
    """
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding='utf-8')
