"""Figures by method, data set and seed: means, and differences that are paired by seed."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ..run_summary import mean_and_spread
from .entries import Entry, column_names
from .plan import PlannedRun
from .records import read_record

MAIN_METRIC = 'mIoU'


@dataclass(frozen=True)
class BySeed:
    """One figure of several runs that differ in the seed.

    Examples:
        >>> ours, theirs = BySeed({0: 3.0, 1: 5.0, 2: 9.0}), BySeed({0: 1.0, 1: 2.0})
        >>> (ours - theirs).values
        {0: 2.0, 1: 3.0}
        >>> (ours - theirs).mean, round((ours - theirs).spread, 4)
        (2.5, 0.7071)
    """

    values: Mapping[int, float] = field(default_factory=dict)
    """By seed; empty where there is none."""

    def __len__(self) -> int:
        return len(self.values)

    @property
    def mean(self) -> float:
        """float: NaN without a value."""
        return mean_and_spread(list(self.values.values()))[0] if self.values else math.nan

    @property
    def spread(self) -> float:
        """float: Sample standard deviation; NaN for less than two values."""
        return mean_and_spread(list(self.values.values()))[1] if self.values else math.nan

    def __sub__(self, other: 'BySeed') -> 'BySeed':
        """Differences seed by seed, of the seeds that both have."""
        return BySeed({seed: value - other.values[seed] for seed, value in self.values.items() if seed in other.values})

    @staticmethod
    def average(parts: Sequence['BySeed']) -> 'BySeed':
        """Means seed by seed, of the seeds that all have.

        Args:
            parts (Sequence[BySeed]): At least one.

        Returns:
            BySeed: Empty where no seed is in all of them.

        Examples:
            >>> BySeed.average([BySeed({0: 1.0, 1: 2.0}), BySeed({1: 4.0})]).values
            {1: 3.0}
        """
        shared = [seed for seed in parts[0].values if all(seed in part.values for part in parts)]
        return BySeed({seed: sum(part.values[seed] for part in parts) / len(parts) for seed in shared})


@dataclass
class Scores:
    """All figures of a comparison.

    Examples:
        >>> figures = {('early', 'a'): {0: {'mIoU': 50.0}}, ('ours', 'a'): {0: {'mIoU': 52.0}}}
        >>> scores = Scores(['early', 'ours'], ['a'], {('early', 'a')}, figures)
        >>> scores.best_baseline('a'), scores.gain('ours', 'a').values
        ('early', {0: 2.0})
    """

    methods: list[str]
    """Rows; baselines come first."""
    columns: list[str]
    """Data sets."""
    baselines: set[tuple[str, str]]
    """Method and data set."""
    figures: dict[tuple[str, str], dict[int, dict[str, float]]]
    """By method and data set: by seed, metric to value."""

    def metrics(self, column: str) -> list[str]:
        """Metrics that some run on a data set has.

        Args:
            column (str): The data set.

        Returns:
            list[str]: Each once.
        """
        names: dict[str, None] = {}
        for method in self.methods:
            for metrics in self.figures.get((method, column), {}).values():
                names.update(dict.fromkeys(metrics))
        return list(names)

    def get(self, method: str, column: str, metric: str = MAIN_METRIC) -> BySeed:
        """A metric of a method on a data set.

        Args:
            method (str): Row.
            column (str): Data set.
            metric (str): Its name.

        Returns:
            BySeed: Of the runs that have it.
        """
        runs = self.figures.get((method, column), {})
        return BySeed({seed: metrics[metric] for seed, metrics in sorted(runs.items()) if metric in metrics})

    def is_baseline(self, method: str) -> bool:
        """Whether a method is a baseline on some data set."""
        return any(name == method for name, _ in self.baselines)

    def best_baseline(self, column: str) -> str | None:
        """The baseline of the highest mean mIoU on a data set.

        Args:
            column (str): The data set.

        Returns:
            str | None: None where no baseline has a figure.
        """
        means = {}
        for method in self.methods:
            mean = self.get(method, column).mean
            if (method, column) in self.baselines and not math.isnan(mean):
                means[method] = mean
        return max(means, key=lambda method: means[method]) if means else None

    def gain(self, method: str, column: str, metric: str = MAIN_METRIC) -> BySeed:
        """What a method has more than the best baseline, seed by seed.

        Args:
            method (str): Row.
            column (str): Data set.
            metric (str): Its name; the baseline is the one that is best by mIoU.

        Returns:
            BySeed: Of the seeds that both have.
        """
        best = self.best_baseline(column)
        return BySeed() if best is None else self.get(method, column, metric) - self.get(best, column, metric)

    def average(self, method: str) -> BySeed:
        """Mean mIoU over the data sets, of the seeds that all of them have."""
        return BySeed.average([self.get(method, column) for column in self.columns])

    def average_gain(self, method: str) -> BySeed:
        """Mean over the data sets of :meth:`gain`, of the seeds that all of them have."""
        return BySeed.average([self.gain(method, column) for column in self.columns])


def collect_scores(plan: Sequence[PlannedRun], split: str) -> Scores:
    """What the records of the runs hold.

    Args:
        plan (Sequence[PlannedRun]): All runs.
        split (str): 'val' or 'test'.

    Returns:
        Scores: Runs without results are left out.

    Raises:
        ValueError: A record cannot be read.
    """
    found = []
    for run in plan:
        record = read_record(run.folder)
        if record is not None and split in record.results:
            found.append((run.entry, run.seed, record.results[split]))
    return tabulate_scores([run.entry for run in plan], found)


def tabulate_scores(entries: Iterable[Entry], found: Iterable[tuple[Entry, int, dict[str, float]]]) -> Scores:
    """Figures by method, data set and seed.

    Args:
        entries (Iterable[Entry]): All of the comparison, in the order of the rows.
        found (Iterable[tuple[Entry, int, dict[str, float]]]): Config, seed and figures of each run that has some.

    Returns:
        Scores: With a row for every method, also for one without figures.

    Examples:
        >>> from pathlib import Path
        >>> entry = Entry(Path('early_unet_cwfid.py'), 'early', 'unet', 'cwfid', '', is_baseline=True)
        >>> tabulate_scores([entry], [(entry, 0, {'mIoU': 50.0})]).get('early', 'cwfid').values
        {0: 50.0}
    """
    known = list(dict.fromkeys(entries))
    columns = column_names(known)
    methods = list(dict.fromkeys(entry.method for entry in known))
    baselines = {(entry.method, columns[entry.field]) for entry in known if entry.is_baseline}
    scores = Scores(methods, list(columns.values()), baselines, {})
    for entry, seed, figures in found:
        scores.figures.setdefault((entry.method, columns[entry.field]), {})[seed] = figures
    return scores
