"""What the methods of a comparison cost, and the table of it."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median

from ..report_files import json_text, write_text
from ..tables import Sheet

COSTS = 'costs.json'
"""Name of the file in the work folder of a comparison."""
_DEFAULT_REFERENCE = 'early'


@dataclass
class Cost:
    """What one method costs."""

    method: str
    parameters: int
    flops: int
    """Floating point operations of one prediction, 2 per multiply-add, of matrix products and convolutions."""
    predict_seconds: list[float] = field(default_factory=list)
    """Of one image, by repeat."""
    train_seconds: list[float] = field(default_factory=list)
    """Of one iteration, by repeat."""

    def figures(self) -> dict[str, list[float]]:
        """What was measured, by name.

        Examples:
            >>> Cost('early', 10, 20, [0.1], [0.2]).figures()['flops per image']
            [20]
        """
        return {
            'parameters': [self.parameters],
            'flops per image': [self.flops],
            'seconds per image': self.predict_seconds,
            'seconds per iteration': self.train_seconds,
        }


@dataclass
class CostReport:
    """Costs, and what they were measured on."""

    costs: list[Cost]
    hardware: str
    sizes: dict[str, str]
    """What the steps of each method worked on, in words."""

    def sheet(self, reference: str) -> Sheet:
        """The table.

        Args:
            reference (str): Method that ratios are told to.

        Returns:
            Sheet: A row per method.

        Raises:
            ValueError: The reference was not measured.
        """
        by_name = {cost.method: cost for cost in self.costs}
        if reference not in by_name:
            raise ValueError(f'--reference {reference}: no such method; measured are {", ".join(by_name)}')
        names = ('parameters', 'GFLOP per image', 'ms per image', 's per iteration')
        header = ['method', *(f'{name} (x {reference})' for name in names)]
        base = _medians(by_name[reference])
        rows = [[cost.method, *_cells(_medians(cost), base)] for cost in self.costs]
        return Sheet('Cost', header, rows, self._note(reference))

    def write(self, path: Path) -> None:
        """Keep what was measured.

        Args:
            path (Path): The file; its folder is made where there is none.
        """
        write_text(path, json_text(asdict(self)))

    def _note(self, reference: str) -> str:
        usual = self.sizes[reference]
        others = [f'{method} {size}' for method, size in self.sizes.items() if size != usual]
        note = (
            f'{self.hardware}. Medians of steps taken in turns; times and ratios hold for this machine and this run. '
        )
        note += f'{usual}, every class present'
        return f'{note}; other sizes: {"; ".join(others)}.' if others else f'{note}.'


def read_costs(path: Path) -> CostReport:
    """What :meth:`CostReport.write` has written.

    Args:
        path (Path): The file.

    Returns:
        CostReport: The same again.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It holds something else.

    Examples:
        >>> import tempfile
        >>> report = CostReport([Cost('early', 10, 20, [0.1], [0.2])], 'a CPU', {'early': '8 x 8'})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     report.write(Path(folder, COSTS))
        ...     read_costs(Path(folder, COSTS)) == report
        True
    """
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
        costs = [Cost(**cost) for cost in content['costs']]
        return CostReport(costs, str(content['hardware']), dict(content['sizes']))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f'{path} is no file of costs ({error}); compare.py --cost writes one') from error


def _medians(cost: Cost) -> list[float]:
    return [median(values) for values in cost.figures().values()]


def _cells(values: Sequence[float], base: Sequence[float]) -> list[str]:
    parameters, flops, predict, train = values
    shown = [f'{parameters:,.0f}', f'{flops / 1e9:.3f}', f'{1e3 * predict:.1f}', f'{train:.3f}']
    ratios = [f'{value / reference:.2f}' if reference else '-' for value, reference in zip(values, base)]
    return [f'{text} ({ratio})' for text, ratio in zip(shown, ratios)]


def choose_reference(methods: Sequence[str], baselines: Sequence[str]) -> str:
    """The method that ratios are told to, where none is asked for.

    Args:
        methods (Sequence[str]): That are measured.
        baselines (Sequence[str]): Those of them that are baselines.

    Returns:
        str: The first baseline whose name begins with 'early', else the first baseline, else the first method.

    Examples:
        >>> choose_reference(['late', 'early', 'ours'], ['late', 'early']), choose_reference(['ours'], [])
        ('early', 'ours')
    """
    early = [name for name in baselines if name.startswith(_DEFAULT_REFERENCE)]
    return [*early, *baselines, *methods][0]
