"""What tools/analysis_tools print, as a library: evidence, interventions, costs, finished runs, figures.

It knows the rest of the package; of the package, nothing knows it.
"""

from .attention_effect import attention_effect, measure_sizes
from .attribution_maps import analyse, attribution_options, class_scores, convergence, path_integral, predicted_classes
from .attribution_report import AttributionReport
from .benchmark import BenchmarkSettings, compare_contenders, device_name, run_benchmark
from .coalition_error import ShareError, coalition_errors
from .contenders import RELEASED, VARIANTS, Contender, our_contenders, released_contender
from .counting import Counts, counting, flop_counter
from .definitions import ScoreView, compare_definitions, distinct_attributions, scorer_of, settings_to_compare
from .evidence import TARGETS, Observation, Stat, Table, distances, evidence_of, observe, presence, tabulate, verdicts
from .evidence_report import Case, compare_on, evidence_report, how_told, plain_table, read_case
from .export_speed import Speed, export_speed, export_speed_sheet
from .figures import draw_attribution
from .intervention_report import intervention_report
from .interventions import (
    INTERVENTIONS,
    Intervention,
    fuse_with_labels,
    intervene,
    load_uaafusion,
    measure_interventions,
    possible_interventions,
)
from .labels import fit_labels, labels_at_input
from .prediction_cost import PredictionCost, cost_of_prediction
from .report_files import json_text, without_nan, write_text
from .run_summary import choose_metrics, choose_results, group_runs, summarise, summary_to_markdown, write_csv
from .scenes import SceneBatch, batch_ranges, build_dataset, read_batches, read_label_map, read_scene, resized
from .share_settings import Setting, attribute, own_setting
from .step_memory import peak_memory
from .stopwatch import Stopwatch, Watched
from .striped_pairs import StripedBatch, make_batch, striped_labels
from .tables import Sheet, markdown_table
from .tally import MIoUOptions, Tally, difference_error, miou_options
from .taught_model import build_model, teach
from .work_folders import Run, flatten, read_run

__all__ = [
    'INTERVENTIONS',
    'RELEASED',
    'TARGETS',
    'VARIANTS',
    'AttributionReport',
    'BenchmarkSettings',
    'Case',
    'Contender',
    'Counts',
    'Intervention',
    'MIoUOptions',
    'Observation',
    'PredictionCost',
    'Run',
    'SceneBatch',
    'ScoreView',
    'Setting',
    'ShareError',
    'Sheet',
    'Speed',
    'Stat',
    'Stopwatch',
    'StripedBatch',
    'Table',
    'Tally',
    'Watched',
    'analyse',
    'attention_effect',
    'attribute',
    'attribution_options',
    'batch_ranges',
    'build_dataset',
    'build_model',
    'choose_metrics',
    'choose_results',
    'class_scores',
    'coalition_errors',
    'compare_contenders',
    'compare_definitions',
    'compare_on',
    'convergence',
    'cost_of_prediction',
    'counting',
    'device_name',
    'difference_error',
    'distances',
    'distinct_attributions',
    'draw_attribution',
    'evidence_of',
    'evidence_report',
    'export_speed',
    'export_speed_sheet',
    'fit_labels',
    'flatten',
    'flop_counter',
    'fuse_with_labels',
    'group_runs',
    'how_told',
    'intervene',
    'intervention_report',
    'json_text',
    'labels_at_input',
    'load_uaafusion',
    'make_batch',
    'markdown_table',
    'measure_interventions',
    'measure_sizes',
    'miou_options',
    'observe',
    'our_contenders',
    'own_setting',
    'path_integral',
    'peak_memory',
    'plain_table',
    'possible_interventions',
    'predicted_classes',
    'presence',
    'read_batches',
    'read_case',
    'read_label_map',
    'read_run',
    'read_scene',
    'released_contender',
    'resized',
    'run_benchmark',
    'scorer_of',
    'settings_to_compare',
    'striped_labels',
    'summarise',
    'summary_to_markdown',
    'tabulate',
    'teach',
    'verdicts',
    'without_nan',
    'write_csv',
    'write_text',
]
