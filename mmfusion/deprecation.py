import warnings


class MMFusionDeprecationWarning(DeprecationWarning):
    pass


def renamed_options(owner, given, renamed):
    warnings.warn(
        f'{owner}: ' + ', '.join(f'{n} is deprecated; write {renamed[n]}' for n in given),
        MMFusionDeprecationWarning,
        stacklevel=3,
    )
