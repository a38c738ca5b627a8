"""Runs as one HTML page that needs nothing else: tables, plots, pictures, cost."""

from .curve_plots import CurvePanel, curve_panels
from .figure_tables import Cell, Table, class_table, cost_table, fusion_table, score_table
from .page import ClassSection, Page, build_page, find_costs, legend_of
from .palette import color_of, dash_of, to_svg
from .pictures import Gallery, GalleryMaker, MethodPictures, Scene, choose_pairs, choose_runs, data_uri
from .plots import draw_class_bars, draw_curves
from .provenance import facts, read_environment
from .runs import ReportRun, find_entry, find_runs, is_run, read_report_run, why_unfinished
from .scalars import Curve, average_curves, loss_curves, read_scalars, validation_curve
from .study import Study, gather

__all__ = [
    'Cell',
    'ClassSection',
    'Curve',
    'CurvePanel',
    'Gallery',
    'GalleryMaker',
    'MethodPictures',
    'Page',
    'ReportRun',
    'Scene',
    'Study',
    'Table',
    'average_curves',
    'build_page',
    'choose_pairs',
    'choose_runs',
    'class_table',
    'color_of',
    'cost_table',
    'curve_panels',
    'dash_of',
    'data_uri',
    'draw_class_bars',
    'draw_curves',
    'facts',
    'find_costs',
    'find_entry',
    'find_runs',
    'fusion_table',
    'gather',
    'is_run',
    'legend_of',
    'loss_curves',
    'read_environment',
    'read_report_run',
    'read_scalars',
    'score_table',
    'to_svg',
    'validation_curve',
    'why_unfinished',
]
