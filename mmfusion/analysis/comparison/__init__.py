"""A comparison: methods x data sets x seeds, trained, evaluated, tabulated, and what they cost."""

from .command_line import add_runs, positive, run_comparison
from .cost_measurement import CostSettings, measure_costs
from .cost_plot import draw_scores_over_cost
from .costs import COSTS, Cost, CostReport, choose_reference, read_costs
from .entries import Entry, column_names, differing_recipes, entries_on, find_entries, read_entry
from .plan import PlannedRun, parse_options, plan_runs
from .processes import Processes
from .progress import plan_text, run_plan, span
from .records import SPLITS, Record, next_step, next_steps, read_record
from .scores import BySeed, Scores, collect_scores, tabulate_scores
from .sheets import score_sheets, scores_to_csv
from .training import Outcome, Trainer, carry_out_all, remaining_seconds

__all__ = [
    'COSTS',
    'SPLITS',
    'BySeed',
    'Cost',
    'CostReport',
    'CostSettings',
    'Entry',
    'Outcome',
    'PlannedRun',
    'Processes',
    'Record',
    'Scores',
    'Trainer',
    'add_runs',
    'carry_out_all',
    'choose_reference',
    'collect_scores',
    'column_names',
    'differing_recipes',
    'draw_scores_over_cost',
    'entries_on',
    'find_entries',
    'measure_costs',
    'next_step',
    'next_steps',
    'parse_options',
    'plan_runs',
    'plan_text',
    'positive',
    'read_costs',
    'read_entry',
    'read_record',
    'remaining_seconds',
    'run_comparison',
    'run_plan',
    'score_sheets',
    'scores_to_csv',
    'span',
    'tabulate_scores',
]
