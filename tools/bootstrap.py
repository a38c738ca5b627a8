"""Set up an environment in this folder and run the demonstration or the tests in it.

    python3 tools/bootstrap.py demo     train fusion and segmentation jointly on drawn scenes, and evaluate
    python3 tools/bootstrap.py test     run the tests, but for the slow ones; what follows goes to pytest, such as
                                        -m slow, -k attribution, or --cov for how much of the package they run
    python3 tools/bootstrap.py test --stack upstream
                                        run them on OpenMMLab's own releases, in an environment beside the other one

Needs nothing but Python >= 3.10 with venv and pip. The environment is made once and brought up to date when the
requirements change; delete its folder to start anew.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
# The release that the tests were last run with.
TORCH = 'torch==2.13.0'
# For tests: stands in for mmcv's compiled operators, which mmcv-lite lacks and mmsegmentation 1.2.2 looks up.
STUB = ROOT / 'tests/stubs/mmcv_ext.py'


class Contents(NamedTuple):
    """What an environment holds besides PyTorch: extras of this project, and lists of packages as they are."""

    extras: str
    without_dependencies: tuple[str, ...] = ()
    stub: bool = False


DEMO = Contents('onedl,pretrained')
TESTS = {
    'onedl': Contents('onedl,tests,pretrained', without_dependencies=('tests-onedl',)),
    'upstream': Contents('tests-upstream,tests,pretrained', stub=True),
}
FOLDERS = {'onedl': '.venv', 'upstream': '.venv-upstream'}


def wanted(torch: str) -> str:
    """A fingerprint of what the environment should hold."""
    digest = hashlib.sha256(torch.encode())
    for path in (ROOT / 'setup.py', STUB, *sorted((ROOT / 'requirements').glob('*.txt'))):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def python_of(folder: Path) -> Path:
    """The interpreter of a virtual environment."""
    return folder / ('Scripts/python.exe' if os.name == 'nt' else 'bin/python')


def put_stub(python: Path) -> None:
    """Complete mmcv-lite, in the environment of the interpreter, by the stand-in for compiled operators."""
    command = [str(python), '-c', "import sysconfig; print(sysconfig.get_path('purelib'))"]
    site = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    shutil.copy(STUB, Path(site) / 'mmcv/_ext.py')


def set_up(folder: Path, torch: str, contents: Contents) -> Path:
    """Make the environment, or bring it up to date.

    Args:
        folder (Path): Where it is, or will be.
        torch (str): Requirement for PyTorch.
        contents (Contents): What to install besides.

    Returns:
        Path: Its interpreter.
    """
    python, stamp = python_of(folder), folder / f'mmfusion-{contents.extras.replace(",", "-")}.stamp'
    if stamp.is_file() and stamp.read_text() == wanted(torch):
        return python
    if not python.is_file():
        print(f'-- making the environment {folder}', flush=True)
        venv.create(folder, with_pip=True)
    print(f'-- installing {torch} and mmfusion[{contents.extras}]; the downloads can take some minutes', flush=True)
    pip = [str(python), '-m', 'pip', 'install', '--quiet', '--disable-pip-version-check']
    # PyTorch first and by itself: its build is the user's choice, not that of a dependency.
    subprocess.run([*pip, torch], check=True)
    subprocess.run([*pip, '--editable', f'.[{contents.extras}]'], check=True, cwd=ROOT)
    for name in contents.without_dependencies:
        # In a folder of their own: wherever mmseg finds mmdet, it imports it, and mmdet tells what is not compiled.
        apart = ['--target', str(folder / name), '--no-deps', '--requirement', f'requirements/{name}.txt']
        subprocess.run([*pip, *apart], check=True, cwd=ROOT)
    if contents.stub:
        put_stub(python)
    stamp.write_text(wanted(torch))
    return python


def arguments() -> tuple[argparse.Namespace, list[str]]:
    """The command line, and what of it is for pytest or the demonstration."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('task', choices=['demo', 'test'])
    parser.add_argument(
        '--stack',
        choices=sorted(TESTS),
        default='onedl',
        help='what the tests run on: the maintained fork (onedl, the default); or mmengine, '
        'mmsegmentation and mmcv-lite of OpenMMLab (upstream), of which no compiler is needed, as a file of the tests '
        "stands in for mmcv's compiled operators",
    )
    parser.add_argument(
        '--venv', type=Path, help='folder of the environment (default: .venv, or .venv-upstream for upstream)'
    )
    parser.add_argument('--torch', default=TORCH, help=f'requirement for PyTorch (default: {TORCH})')
    args, rest = parser.parse_known_args()
    if args.task == 'demo' and args.stack != 'onedl':
        parser.error('the demonstration runs on the stack onedl; --stack is for test')
    return args, rest


def main() -> int:
    """Run the command line."""
    if sys.version_info < (3, 10):  # noqa: UP036  (run by whatever python3 there is)
        raise SystemExit(f'mmfusion needs Python 3.10 or later; this is {sys.version.split()[0]}')
    args, rest = arguments()
    folder = args.venv or ROOT / FOLDERS[args.stack]
    try:
        python = set_up(folder.resolve(), args.torch, DEMO if args.task == 'demo' else TESTS[args.stack])
    except subprocess.CalledProcessError as error:
        print(f'error: `{" ".join(map(str, error.cmd))}` failed; its message is above', file=sys.stderr)
        return 1
    if args.task == 'demo':
        command = [str(python), 'tools/demo.py', *rest]
    else:
        # Two workers: the tests keep torch to one thread each.
        command = [str(python), '-m', 'pytest', '--numprocesses', '2', *rest]
    # The stack's own warnings on current PyTorch say nothing to somebody who looks around.
    env = {**os.environ, 'PYTHONWARNINGS': 'ignore'} if args.task == 'demo' else None
    return subprocess.run(command, cwd=ROOT, env=env, check=False).returncode


if __name__ == '__main__':
    sys.exit(main())
