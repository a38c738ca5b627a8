"""Packaging of mmfusion.

No distribution of the OpenMMLab stack is a hard dependency: two families provide the same modules and overwrite each
other's files, so the stack is chosen by an extra (`onedl` or `upstream`) and checked at import.
"""

import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent


def version() -> str:
    """Read the version without importing the package."""
    scope: dict = {}
    exec((ROOT / 'mmfusion/version.py').read_text(encoding='utf-8'), scope)
    return scope['__version__']


def requirements(name: str) -> list[str]:
    """Lines of `requirements/NAME.txt` that are requirements."""
    lines = (ROOT / f'requirements/{name}.txt').read_text(encoding='utf-8').splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith('#')]


class BuildWithConfigs(build_py):
    """Ships configs and tools in the wheel under `mmfusion/.mim`, where mim and `mmfusion::` bases look for them."""

    def run(self) -> None:
        """Build the package, then copy what lies beside it."""
        super().run()
        if self.editable_mode:
            return
        target = Path(self.build_lib) / 'mmfusion/.mim'
        shutil.rmtree(target, ignore_errors=True)
        # With README.md and metafile.yml of each folder, which mim looks up.
        for folder in ('configs', 'tools'):
            shutil.copytree(ROOT / folder, target / folder, ignore=shutil.ignore_patterns('__pycache__', '*.pyc'))
        shutil.copy(ROOT / 'model-index.yml', target)


setup(
    name='mmfusion',
    version=version(),
    description='Task-driven infrared and visible image fusion for mmsegmentation (UAAFusion)',
    long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    author='mmfusion contributors',
    license='Apache-2.0',
    classifiers=[
        'Development Status :: 3 - Alpha',
        'License :: OSI Approved :: Apache Software License',
        'Programming Language :: Python :: 3',
        'Topic :: Scientific/Engineering :: Image Processing',
    ],
    packages=find_packages(include=['mmfusion', 'mmfusion.*']),
    package_data={'mmfusion': ['py.typed'], 'mmfusion.analysis.html_report': ['templates/*']},
    python_requires='>=3.10',
    install_requires=requirements('runtime'),
    extras_require={
        **{
            name: requirements(name)
            for name in ('onedl', 'upstream', 'pretrained', 'onnx', 'perceptual', 'docs', 'tests-upstream')
        },
        # Tests build the documentation, and run what was exported.
        'tests': requirements('tests') + requirements('docs') + requirements('onnx'),
    },
    entry_points={'console_scripts': ['mmfusion = mmfusion.console:main']},
    cmdclass={'build_py': BuildWithConfigs},
    zip_safe=False,
)
