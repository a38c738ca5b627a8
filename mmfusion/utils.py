"""The call by which tools of the OpenMMLab stack load a package: ``mmengine.hub.get_model('mmfusion::...')``."""

from datetime import datetime

from mmengine.registry import DefaultScope, Registry

from mmfusion import registry


def register_all_modules(init_default_scope: bool = True) -> None:
    """Import every module that registers something, so that all types can be built by name.

    A config of mmfusion does the same with its ``custom_imports`` and ``default_scope``.

    Args:
        init_default_scope (bool): Make ``mmfusion`` the default scope of this process.

    Examples:
        >>> register_all_modules(init_default_scope=False)
        >>> 'UAAFusion' in registry.MODELS and 'MSRSDataset' in registry.DATASETS
        True
    """
    for each in vars(registry).values():
        if isinstance(each, Registry):
            each.import_from_location()
    if not init_default_scope:
        return
    scope = DefaultScope.get_current_instance()
    if scope is None or scope.scope_name != 'mmfusion':
        # The newest instance is the current one, and one of a name that exists would not be new.
        DefaultScope.get_instance(f'mmfusion-{datetime.now()}', scope_name='mmfusion')
