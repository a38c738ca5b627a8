"""Registries of mmfusion: children of mmsegmentation's, scope ``mmfusion``.

A config with ``default_scope = 'mmfusion'`` resolves plain names first here, then in mmsegmentation, then in
mmengine. What is registered here is known to mmsegmentation's registries as well, so that a config of its own
(``default_scope = 'mmseg'``, parts that carry ``_scope_='mmseg'``) finds ``type='UAAFusion'`` without a prefix.

Every registry that a ``Runner`` may ask for has a child, also where mmfusion registers nothing: mmengine falls
back to its root registry when a scope has no node of that name, and would no longer find mmsegmentation's modules.
"""

from collections.abc import Callable

from mmengine.registry import Registry
from mmseg import registry as mmseg_registry


class SharingRegistry(Registry):
    """A registry whose entries its parent knows as well.

    Examples:
        >>> parent = Registry('cooks', scope='kitchen')
        >>> child = SharingRegistry('cooks', parent=parent, scope='guest')
        >>> child.register_module(name='Fry', module=dict) is parent.get('Fry')
        True
    """

    def _register_module(
        self, module: Callable, module_name: str | list[str] | None = None, force: bool = False
    ) -> None:
        super()._register_module(module, module_name, force)
        if self.parent is not None:
            self.parent._register_module(module, module_name, force)


def _child(name: str, *locations: str) -> Registry:
    parent: Registry = getattr(mmseg_registry, name)
    # mmengine imports locations at the first look into a registry; that may have been before this.
    parent._locations = list(dict.fromkeys([*parent._locations, *locations]))
    parent._imported = False
    # Of a registry without any location mmengine says that the whole package is not installed; importing this again
    # does nothing.
    return SharingRegistry(
        parent.name, parent=parent, scope='mmfusion', locations=list(locations or ['mmfusion.registry'])
    )


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
OPTIM_WRAPPERS = _child('OPTIM_WRAPPERS', 'mmfusion.engine.autocast')
OPTIM_WRAPPER_CONSTRUCTORS = _child('OPTIM_WRAPPER_CONSTRUCTORS', 'mmfusion.engine.layer_decay')
PARAM_SCHEDULERS = _child('PARAM_SCHEDULERS')

METRICS = _child('METRICS', 'mmfusion.evaluation')
EVALUATOR = _child('EVALUATOR', 'mmfusion.evaluation')
TASK_UTILS = _child('TASK_UTILS')

VISUALIZERS = _child('VISUALIZERS', 'mmfusion.visualization')
VISBACKENDS = _child('VISBACKENDS')
LOG_PROCESSORS = _child('LOG_PROCESSORS')
INFERENCERS = _child('INFERENCERS')
