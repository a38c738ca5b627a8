"""All runs of a page as one comparison."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..comparison.entries import Entry, column_names, differing_recipes
from ..comparison.scores import Scores, tabulate_scores
from ..run_summary import differing_keys
from .runs import ReportRun, find_runs, read_report_run

RESULTS = ('auto', 'test', 'val')


@dataclass
class Study:
    """What is compared."""

    runs: list[ReportRun]
    """Baselines first."""
    split: str
    """'test' or 'val': the results that are told."""
    scores: Scores
    columns: dict[str, str]
    """Data sets by :attr:`Entry.field`."""

    @property
    def seeds(self) -> list[int]:
        """list[int]: That are known."""
        return sorted({run.seed for run in self.runs if run.seed is not None})

    @property
    def expected(self) -> int:
        """int: How many runs a cell of the table has where none is missing."""
        return max(
            len(self.runs_of(method, column)) for method in self.scores.methods for column in self.scores.columns
        )

    def column(self, entry: Entry) -> str:
        """How the data set of a config is called.

        Args:
            entry (Entry): One of the study.

        Returns:
            str: Heading of the column.
        """
        return self.columns[entry.field]

    def runs_of(self, method: str, column: str) -> list[ReportRun]:
        """Runs of a method on a data set.

        Args:
            method (str): Row.
            column (str): Data set.

        Returns:
            list[ReportRun]: By seed, finished or not.
        """
        found = [run for run in self.runs if run.entry.method == method and self.column(run.entry) == column]
        return sorted(found, key=lambda run: (run.seed is None, run.seed))

    def finished(self, method: str, column: str) -> list[ReportRun]:
        """Runs of a method on a data set that have results.

        Args:
            method (str): Row.
            column (str): Data set.

        Returns:
            list[ReportRun]: By seed.
        """
        return [run for run in self.runs_of(method, column) if self.split in run.results]

    def problems(self) -> list[tuple[ReportRun, str]]:
        """Runs without the results that are told.

        Returns:
            list[tuple[ReportRun, str]]: With the reason.
        """
        other = f'has no {self.split} result, only {{}}'
        return [
            (run, run.problem or other.format(' and '.join(run.results)))
            for run in self.runs
            if self.split not in run.results
        ]

    def warnings(self) -> list[str]:
        """What a reader has to know before comparing: rows of unlike runs, methods of unlike recipes.

        Returns:
            list[str]: Sentences.
        """
        told = []
        for method in self.scores.methods:
            for column in self.scores.columns:
                told += _unlike(method, column, self.finished(method, column))
        recipes = differing_recipes(list(dict.fromkeys(run.entry for run in self.runs)))
        told += [f'Methods differ in model or schedule on {line}.' for line in recipes]
        return told


def _unlike(method: str, column: str, runs: Sequence[ReportRun]) -> list[str]:
    for run in runs[1:]:
        differing = differing_keys(runs[0].config, run.config)
        if differing:
            keys = ', '.join(differing[:4]) + (f' and {len(differing) - 4} more' if len(differing) > 4 else '')
            names = f'{runs[0].folder.name} and {run.folder.name}'
            return [f'{method} on {column}: {names} differ in more than the seed: {keys}.']
    return []


def gather(work_dirs: Sequence[Path], results: str = 'auto', baselines: Sequence[str] | None = None) -> Study:
    """Read runs, and tabulate what they came to.

    Args:
        work_dirs (Sequence[Path]): Each is a run, or a folder of runs.
        results (str): 'test', 'val', or 'auto': tests if any run has one, else validations after the last iteration.
        baselines (Sequence[str], optional): Methods that are baselines; see :func:`~.runs.read_report_run`.

    Returns:
        Study: With all runs, those without results too.

    Raises:
        FileNotFoundError: A folder is no run and has none.
        ValueError: Two runs are of one method, data set and seed; no run is of a method called a baseline; or
            ``results`` is none of the three.
    """
    if results not in RESULTS:
        raise ValueError(f'results must be one of {", ".join(RESULTS)}, got {results!r}')
    runs = [read_report_run(folder, baselines) for folder in find_runs(work_dirs)]
    methods = dict.fromkeys(run.entry.method for run in runs)
    for name in baselines or ():
        if name not in methods:
            raise ValueError(f'no run is of the baseline {name!r}; methods are {", ".join(methods)}')
    runs.sort(key=lambda run: not run.entry.is_baseline)
    entries = _like_entries(runs)
    _refuse_doubles(runs)
    split = results
    if results == 'auto':
        split = 'test' if any('test' in run.results for run in runs) else 'val'
    found = []
    for number, (run, entry) in enumerate(zip(runs, entries)):
        if split in run.results:
            # A seed that is not known is that of no other run, so that nothing is paired by it.
            seed = -1 - number if run.seed is None else run.seed
            found.append((entry, seed, run.results[split]))
    return Study(runs, split, tabulate_scores(entries, found), column_names(entries))


def _like_entries(runs: Sequence[ReportRun]) -> list[Entry]:
    """One entry for each method and data set, whatever the path of its config was."""
    known: dict[tuple[str, str], Entry] = {}
    return [known.setdefault((run.entry.method, run.entry.field), run.entry) for run in runs]


def _refuse_doubles(runs: Sequence[ReportRun]) -> None:
    seen: dict[tuple[str, str, int], ReportRun] = {}
    for run in runs:
        if run.seed is None:
            continue
        other = seen.setdefault((run.entry.method, run.entry.field, run.seed), run)
        if other is not run:
            raise ValueError(
                f'{other.folder} and {run.folder} are both {run.entry.method} on {run.entry.field} with seed '
                f'{run.seed}, one figure of the table; leave one out'
            )
