"""The documentation site builds without a warning, documents all that is public, and its links lead somewhere."""

import inspect
import os
import pkgutil
import subprocess
import sys
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlparse

import pytest

import mmfusion

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
REPOSITORY_PAGES = ('README', 'CONTRIBUTING', 'CHANGELOG', 'SECURITY')


class Page(HTMLParser):
    """Links and anchors of a page."""

    def __init__(self, path):
        super().__init__()
        self.links, self.anchors = [], set()
        self.feed(path.read_text('utf-8'))

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.anchors.add(attributes.get('id'))
        if tag == 'a' and 'href' in attributes:
            self.links.append(attributes['href'])


@pytest.fixture(scope='module')
def site(tmp_path_factory):
    """The folder of the built site. Every warning is an error."""
    folder = tmp_path_factory.mktemp('site')
    command = [sys.executable, '-m', 'sphinx', '-W', '--keep-going', '-q', '-b', 'html', '-d', str(folder / 'doctrees')]
    built = subprocess.run(
        [*command, 'docs', str(folder / 'html')],
        cwd=ROOT,
        env={**os.environ, 'PYTHONPATH': str(ROOT), 'PYTHONWARNINGS': 'ignore'},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert built.returncode == 0, (
        f'{built.stdout}{built.stderr}\nBuild with `sphinx-build -W -b html docs docs/_build` (requirements/docs.txt, '
        'part of the extra `tests`)'
    )
    return folder / 'html'


@pytest.fixture(scope='module')
def pages(site):
    return {path.relative_to(site).as_posix(): Page(path) for path in site.rglob('*.html')}


def public_objects():
    """What the packages export, as (package, name), without constants."""
    for package in [mmfusion, *packages_below(mmfusion)]:
        for name in getattr(package, '__all__', ()):
            if inspect.isclass(getattr(package, name)) or inspect.isfunction(getattr(package, name)):
                yield package.__name__, name


def packages_below(package):
    for found in pkgutil.walk_packages(package.__path__, f'{package.__name__}.'):
        if found.ispkg:
            yield import_module(found.name)


def test_public_objects_are_documented(pages):
    anchors = set().union(*(page.anchors for page in pages.values()))
    documented = {anchor.rpartition('.')[2] for anchor in anchors if (anchor or '').startswith('mmfusion.')}
    objects = list(public_objects())
    assert len(objects) > 200
    missing = sorted(f'{package}.{name}' for package, name in objects if name not in documented)
    assert not missing, f'add to a page of docs/api/: {missing}'


def test_nothing_foreign_is_documented(pages):
    """A page of a package shows what the package exports, not what its modules import from elsewhere."""
    for name in sorted(pages):
        if name.startswith('api/'):
            objects = [anchor for anchor in pages[name].anchors if (anchor or '').startswith('mmfusion.')]
            assert objects, name
            for anchor in objects:
                module, _, last = anchor.rpartition('.')
                owner = sys.modules.get(module)
                value = getattr(owner, last, None)
                assert getattr(value, '__module__', 'mmfusion').startswith('mmfusion'), anchor


def test_links_lead_somewhere(site, pages):
    broken, anchored = [], 0
    for name, page in pages.items():
        for link in page.links:
            target, anchor = urldefrag(link)
            if urlparse(target).scheme:
                continue
            path = (site / name).parent / unquote(target) if target else site / name
            where = os.path.relpath(path, site)
            if not path.is_file():
                broken.append(f'{name}: {link}')
            elif anchor and where in pages:
                anchored += 1
                if unquote(anchor) not in pages[where].anchors:
                    broken.append(f'{name}: {link}')
    assert not broken
    assert anchored > 100


@pytest.mark.parametrize('link', ['../results.html', '../reliability.html', 'CONTRIBUTING.html'])
def test_links_of_the_readme_stay_on_the_site(pages, link):
    assert link in [urldefrag(each)[0] for each in pages['project/README.html'].links]


def test_pages_of_the_repository_are_on_the_site(pages):
    assert {f'project/{name}.html' for name in REPOSITORY_PAGES} <= set(pages)
    assert {f'zoo/{path.parent.name}.html' for path in (ROOT / 'configs').glob('*/README.md')} <= set(pages)
    assert {f'{path.stem}.html' for path in (ROOT / 'docs').glob('*.md')} <= set(pages)


def test_nothing_is_left_in_the_checkout(site):
    """Generated output belongs to no commit."""
    assert '/docs/_build/' in (ROOT / '.gitignore').read_text('utf-8').splitlines()
    built = {path.relative_to(ROOT / 'docs').parts[0] for path in (ROOT / 'docs').rglob('*.html')}
    assert built <= {'_build'}
