"""Set up an environment in this folder and run the demonstration or the tests in it.

    python3 tools/bootstrap.py demo     train fusion and segmentation jointly on drawn scenes, and evaluate
    python3 tools/bootstrap.py test     run the tests and print how much of the package they ran; what follows goes to
                                        pytest, such as -m slow -k attribution

Needs nothing but Python >= 3.10 with venv and pip. The environment is made once and brought up to date when the
requirements change; delete its folder to start anew.
"""

import argparse
import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# The release that the tests were last run with.
TORCH = 'torch==2.13.0'


def wanted(torch: str) -> str:
    """A fingerprint of what the environment should hold."""
    digest = hashlib.sha256(torch.encode())
    for path in (ROOT / 'setup.py', *sorted((ROOT / 'requirements').glob('*.txt'))):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def python_of(folder: Path) -> Path:
    """The interpreter of a virtual environment."""
    return folder / ('Scripts/python.exe' if os.name == 'nt' else 'bin/python')


def set_up(folder: Path, torch: str, extras: str) -> Path:
    """Make the environment, or bring it up to date.

    Args:
        folder (Path): Where it is, or will be.
        torch (str): Requirement for PyTorch.
        extras (str): Extras of this project to install.

    Returns:
        Path: Its interpreter.
    """
    python, stamp = python_of(folder), folder / f'mmfusion-{extras.replace(",", "-")}.stamp'
    if stamp.is_file() and stamp.read_text() == wanted(torch):
        return python
    if not python.is_file():
        print(f'-- making the environment {folder}', flush=True)
        venv.create(folder, with_pip=True)
    print(f'-- installing {torch} and mmfusion[{extras}]; the downloads can take some minutes', flush=True)
    pip = [str(python), '-m', 'pip', 'install', '--quiet', '--disable-pip-version-check']
    # PyTorch first and by itself: its build is the user's choice, not that of a dependency.
    subprocess.run([*pip, torch], check=True)
    subprocess.run([*pip, '--editable', f'.[{extras}]'], check=True, cwd=ROOT)
    stamp.write_text(wanted(torch))
    return python


def main() -> int:
    """Run the command line."""
    if sys.version_info < (3, 10):  # noqa: UP036  (run by whatever python3 there is)
        raise SystemExit(f'mmfusion needs Python 3.10 or later; this is {sys.version.split()[0]}')
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('task', choices=['demo', 'test'])
    parser.add_argument('--venv', type=Path, default=ROOT / '.venv', help='folder of the environment (default: .venv)')
    parser.add_argument('--torch', default=TORCH, help=f'requirement for PyTorch (default: {TORCH})')
    args, rest = parser.parse_known_args()
    extras = 'onedl,pretrained' if args.task == 'demo' else 'onedl,tests,pretrained'
    try:
        python = set_up(args.venv.resolve(), args.torch, extras)
    except subprocess.CalledProcessError as error:
        print(f'error: `{" ".join(map(str, error.cmd))}` failed; its message is above', file=sys.stderr)
        return 1
    if args.task == 'demo':
        command = [str(python), 'tools/demo.py', *rest]
    else:
        # Two workers: the tests keep torch to one thread each.
        coverage = ['--cov', '--cov-report=term:skip-covered']
        command = [str(python), '-m', 'pytest', '--numprocesses', '2', *coverage, *rest]
    # The stack's own warnings on current PyTorch say nothing to somebody who looks around.
    env = {**os.environ, 'PYTHONWARNINGS': 'ignore'} if args.task == 'demo' else None
    return subprocess.run(command, cwd=ROOT, env=env, check=False).returncode


if __name__ == '__main__':
    sys.exit(main())
