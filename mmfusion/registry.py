"""Registries of mmfusion: children of mmsegmentation's, scope ``mmfusion``.

A config with ``default_scope = 'mmfusion'`` resolves plain names first here, then in mmsegmentation, then in
mmengine. A config of mmsegmentation (``default_scope = 'mmseg'``) reaches the same modules with a prefix, such as
``type='mmfusion.UAAFusion'``.

Every registry that a ``Runner`` may ask for has a child, also where mmfusion registers nothing: mmengine falls
back to its root registry when a scope has no node of that name, and would no longer find mmsegmentation's modules.
"""

from mmengine.registry import Registry
from mmseg import registry as mmseg_registry


def _child(name: str, *locations: str) -> Registry:
    parent: Registry = getattr(mmseg_registry, name)
    # Of a registry without any location mmengine says that the whole package is not installed; importing this again
    # does nothing.
    return Registry(parent.name, parent=parent, scope='mmfusion', locations=list(locations or ['mmfusion.registry']))


RUNNERS = _child('RUNNERS')
RUNNER_CONSTRUCTORS = _child('RUNNER_CONSTRUCTORS')
LOOPS = _child('LOOPS')
HOOKS = _child('HOOKS', 'mmfusion.engine.hooks')

DATASETS = _child('DATASETS', 'mmfusion.datasets')
DATA_SAMPLERS = _child('DATA_SAMPLERS')
TRANSFORMS = _child('TRANSFORMS', 'mmfusion.datasets.transforms')

# mmengine imports these at the first build. The second is for configs of the released segmentor alone.
MODELS = _child('MODELS', 'mmfusion.models', 'mmfusion.released')
MODEL_WRAPPERS = _child('MODEL_WRAPPERS')
WEIGHT_INITIALIZERS = _child('WEIGHT_INITIALIZERS')

OPTIMIZERS = _child('OPTIMIZERS')
OPTIM_WRAPPERS = _child('OPTIM_WRAPPERS')
OPTIM_WRAPPER_CONSTRUCTORS = _child('OPTIM_WRAPPER_CONSTRUCTORS')
PARAM_SCHEDULERS = _child('PARAM_SCHEDULERS')

METRICS = _child('METRICS', 'mmfusion.evaluation')
EVALUATOR = _child('EVALUATOR')
TASK_UTILS = _child('TASK_UTILS')

VISUALIZERS = _child('VISUALIZERS', 'mmfusion.visualization')
VISBACKENDS = _child('VISBACKENDS')
LOG_PROCESSORS = _child('LOG_PROCESSORS')
INFERENCERS = _child('INFERENCERS')
