"""The page in a browser: nothing fails, and what is there after its script ran."""

import os
import re
import shutil
import subprocess

import cv2
import pytest
from html_page import Page

from mmfusion.analysis.html_report import build_page, gather

FLAGS = (
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    '--enable-logging=stderr',
    '--hide-scrollbars',
)
SORTED = """
<script>
addEventListener('load', () => {
  const button = document.querySelector('#scores th:nth-child(2) button');
  button.click();
  document.title = [...document.querySelectorAll('#scores tbody tr')].map((row) => row.cells[0].textContent).join();
});
addEventListener('error', (event) => console.error(event.message));
</script>
"""


@pytest.fixture(scope='module')
def browser():
    names = ('chromium', 'chromium-browser', 'google-chrome')
    found = next((path for path in map(shutil.which, names) if path), None)
    if found is None:
        pytest.skip(f'no browser is installed ({", ".join(names)})')
    return found


@pytest.fixture
def visit(browser, tmp_path):
    """Function of a page and options of the browser: what it printed, and what it told of the page."""
    number = 0

    def open_page(path, *options):
        nonlocal number
        number += 1
        profile = tmp_path / f'profile{number}'
        profile.mkdir()
        done = subprocess.run(
            [browser, *FLAGS, f'--user-data-dir={profile}', *options, path.as_uri()],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env={**os.environ, 'HOME': str(tmp_path)},
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout, re.findall(r'CONSOLE[^\n]*', done.stderr)

    return open_page


@pytest.fixture
def page(work, tmp_path):
    path = tmp_path / 'report.html'
    path.write_text(build_page(gather([work]), 'Runs', 'report.py').render(), encoding='utf-8')
    return path


def test_page_in_a_browser(page, visit, tmp_path):
    dom, told = visit(page, '--dump-dom')
    assert told == []
    seen = Page(dom)
    classes = {f'IoU in %, {column}' for column in 'ab'}
    assert set(seen.tables) == {
        'mIoU in %, by method and data set',
        'Fusion metrics, a',
        'All runs, by folder',
        *classes,
    }
    assert len(seen.named('button')) == len([head for head in seen.named('th') if head['scope'] == 'col'])

    colors = {}
    for mode, options in (('light', ()), ('dark', ('--force-dark-mode',))):
        picture = tmp_path / f'{mode}.png'
        _, told = visit(page, f'--screenshot={picture}', '--window-size=1000,800', *options)
        assert told == []
        image = cv2.imread(str(picture))
        assert image.shape == (800, 1000, 3)
        colors[mode] = image[2, 2].tolist()
    assert colors == {'light': [255, 255, 255], 'dark': [0x1D, 0x18, 0x15]}


def test_rows_are_sorted(page, visit):
    """By the same page, let run a second script."""
    html = re.sub(r"script-src '[^']+'", "script-src 'unsafe-inline'", page.read_text('utf-8'))
    page.write_text(html.replace('</body>', f'{SORTED}</body>'), encoding='utf-8')
    dom, told = visit(page, '--dump-dom')
    assert told == []
    assert '<title>ours,early</title>' in dom  # The highest first.
    assert dom.count('aria-sort="descending"') == 1


def test_what_gets_in_does_not_run(page, visit):
    """Even if a text were not escaped."""
    html = page.read_text('utf-8').replace('<main>', '<main><img src=x onerror="document.title=1"><script>x()</script>')
    page.write_text(html, encoding='utf-8')
    dom, told = visit(page, '--dump-dom')
    assert '<title>Runs</title>' in dom
    assert sum('Content Security Policy' in line for line in told) >= 2
