"""Old names and options: they work, and one warning names the new ones."""

import os
import subprocess
import sys
import types
import warnings
from pathlib import Path

import pytest

import mmfusion.models
import mmfusion.released
from mmfusion.deprecation import MMFusionDeprecationWarning, moved_names, renamed_options, warn_deprecated

MOVED = ('DilatedMobileNetV2', 'ReleasedDeepLabHead')
RENAMED = {
    'estimator': 'attribution.estimator',
    'smoothing': 'attribution.smoothing',
    'label_source': 'attribution.labels.source',
    'attend': 'attention',
}


@pytest.fixture
def caught():
    """All warnings of the test, repeated ones too."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter('always')
        yield found


def ours(caught):
    return [warning for warning in caught if issubclass(warning.category, MMFusionDeprecationWarning)]


@pytest.fixture
def old_module(monkeypatch):
    """A package with a name that moved, as it is when a process starts."""
    module = types.ModuleType('old_package')
    module.__path__ = []  # `from package import name` asks a package twice.
    module.__getattr__ = moved_names('old_package', {'sqrt': 'math', 'gone': 'math'})
    monkeypatch.setitem(sys.modules, 'old_package', module)
    return module


def run(*command, cwd):
    env = {**os.environ, 'PYTHONPATH': str(Path(mmfusion.__file__).parents[1])}
    return subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, timeout=300, check=False, cwd=cwd, env=env
    )


def user_code(folder):
    """A script in front of a module that uses an old name in two places."""
    (folder / 'user.py').write_text(
        '\n'.join(
            [
                'from mmfusion.models import ReleasedDeepLabHead',
                'import mmfusion.models, mmfusion.released',
                'def again():',
                '    return mmfusion.models.ReleasedDeepLabHead',
                'assert ReleasedDeepLabHead is again() is mmfusion.released.ReleasedDeepLabHead',
            ]
        )
    )
    (folder / 'script.py').write_text('import user\nprint("done")\n')
    return 'script.py'


# Moved names --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize('name', MOVED)
def test_a_moved_class_warns_once(name, caught, monkeypatch):
    monkeypatch.delitem(vars(mmfusion.models), name, raising=False)  # An earlier test may have asked for it.
    for _ in range(2):
        assert getattr(mmfusion.models, name) is getattr(mmfusion.released, name)
    (warning,) = ours(caught)
    assert str(warning.message) == f'mmfusion.models.{name} is deprecated; import it from mmfusion.released'
    assert warning.filename == __file__


def test_from_import_warns_once(old_module, caught):
    from old_package import sqrt  # type: ignore[import-not-found]
    from old_package import sqrt as again

    assert sqrt(9.0) == again(9.0) == 3.0
    (warning,) = ours(caught)
    assert str(warning.message) == 'old_package.sqrt is deprecated; import it from math'
    assert warning.filename == __file__


def test_unknown_names_stay_unknown(old_module, caught):
    with pytest.raises(AttributeError, match="module 'old_package' has no attribute 'cbrt'"):
        old_module.cbrt  # noqa: B018
    with pytest.raises(ImportError, match='cannot import name'):
        exec('from mmfusion.models import NoSuchModel')
    assert not hasattr(mmfusion.models, '__wrapped__')
    assert ours(caught) == []


def test_a_name_that_is_not_at_its_new_place_does_not_warn(old_module, caught):
    with pytest.raises(AttributeError, match="'math' has no attribute 'gone'"):
        old_module.gone  # noqa: B018
    assert ours(caught) == []


def test_moved_names_are_not_exported_twice(caught):
    scope = {}
    exec('from mmfusion.models import *', scope)
    assert not set(MOVED) & set(scope)
    assert not set(MOVED) & set(mmfusion.models.__all__)
    assert ours(caught) == []


def test_the_user_sees_one_warning(tmp_path):
    """Also where it is not the script itself that uses the old name; Python alone would hide it there."""
    done = run(user_code(tmp_path), cwd=tmp_path)
    assert done.stdout.splitlines()[-1:] == ['done'], done.stderr
    lines = [line for line in done.stderr.splitlines() if 'MMFusionDeprecationWarning' in line]
    assert len(lines) == 1
    assert 'user.py:1:' in lines[0]
    assert 'mmfusion.models.ReleasedDeepLabHead is deprecated; import it from mmfusion.released' in lines[0]


def test_the_users_own_filters_count(tmp_path):
    script = user_code(tmp_path)
    silent = run('-W', 'ignore', script, cwd=tmp_path)
    assert silent.stdout.splitlines()[-1:] == ['done'], silent.stderr
    assert 'MMFusionDeprecationWarning' not in silent.stderr
    (tmp_path / 'strict.py').write_text(
        'import warnings\n'
        'import mmfusion.models\n'
        'from mmfusion.deprecation import MMFusionDeprecationWarning\n'
        "warnings.simplefilter('error', MMFusionDeprecationWarning)\n"
        'import user\n'
    )
    strict = run('strict.py', cwd=tmp_path)
    assert strict.returncode == 1
    assert 'MMFusionDeprecationWarning: mmfusion.models.ReleasedDeepLabHead is deprecated' in strict.stderr


# Renamed options ----------------------------------------------------------------------------------------------------
def network(**options):
    """Stands for a class whose options were renamed."""
    return renamed_options('UAAFusion', options, RENAMED)


def test_one_warning_names_every_option(caught):
    values = network(estimator='exact', channels=8, smoothing=0.0)
    assert values == {'attribution': {'estimator': 'exact', 'smoothing': 0.0}}
    (warning,) = ours(caught)
    assert str(warning.message) == (
        'UAAFusion: options estimator, smoothing are deprecated; write attribution=dict(estimator=..., smoothing=...)'
    )
    assert warning.filename == __file__
    source = Path(__file__).read_text().splitlines()
    assert 'values = network(' in source[warning.lineno - 1]  # The line of who gave the options.


@pytest.mark.parametrize(
    ('given', 'message', 'values'),
    [
        (
            dict(smoothing=None),
            'UAAFusion: option smoothing is deprecated; write attribution=dict(smoothing=...)',
            dict(attribution=dict(smoothing=None)),
        ),
        (
            dict(attend={'a': 1}),
            'UAAFusion: option attend is deprecated; write attention=...',
            dict(attention={'a': 1}),
        ),
        (
            dict(label_source='mean', attend='rms', estimator='exact'),
            'UAAFusion: options label_source, attend, estimator are deprecated; '
            'write attribution=dict(labels=dict(source=...), estimator=...), attention=...',
            dict(attribution=dict(labels=dict(source='mean'), estimator='exact'), attention='rms'),
        ),
    ],
)
def test_what_to_write(given, message, values, caught):
    assert network(**given) == values
    assert [str(warning.message) for warning in ours(caught)] == [message]


def test_new_options_do_not_warn(caught):
    assert network(attribution=dict(estimator='exact'), channels=8) == {}
    assert ours(caught) == []


def test_two_old_options_of_one_meaning_are_refused(caught):
    renamed = {'rule': 'attribution.rule', 'quadrature': 'attribution.rule'}
    message = r'UAAFusion: options rule and quadrature both mean attribution\.rule; write attribution\.rule itself'
    with pytest.raises(ValueError, match=message):
        renamed_options('UAAFusion', dict(rule='left', quadrature='right'), renamed)
    assert renamed_options('UAAFusion', dict(quadrature='right'), renamed) == {'attribution': {'rule': 'right'}}


def test_stacklevel(caught):
    def library():
        warn_deprecated('first', stacklevel=1)
        warn_deprecated('second')

    library()
    source = Path(__file__).read_text().splitlines()
    lines = [source[warning.lineno - 1].strip() for warning in ours(caught)]
    assert lines == ["warn_deprecated('first', stacklevel=1)", 'library()']
