"""Where the files lie that come with the package."""

from pathlib import Path


def shipped(folder: str) -> Path | None:
    """A folder that lies beside the package in a checkout, and inside of an installed one.

    Args:
        folder (str): Such as 'configs' or 'tools'.

    Returns:
        Path | None: ``mmfusion/.mim/FOLDER`` of an installed wheel, or ``FOLDER`` of a checkout; None if this
        installation has neither.

    Examples:
        >>> shipped('configs').name
        'configs'
    """
    package = Path(__file__).resolve().parent
    for root in (package / '.mim', package.parent):
        # Beside an installed package there may be folders of something else with these names.
        if (root / 'configs/_base_/default_runtime.py').is_file() and (root / folder).is_dir():
            return root / folder
    return None
