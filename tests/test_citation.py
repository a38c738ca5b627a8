"""CITATION.cff is valid Citation File Format 1.2.0, and says of the paper what the READMEs say."""

import re
from pathlib import Path

import pytest
import yaml

from mmfusion import __version__

ROOT = Path(__file__).resolve().parents[1]
CITATION = yaml.safe_load((ROOT / 'CITATION.cff').read_text('utf-8'))
REQUIRED = {'cff-version', 'message', 'title', 'authors'}
OPTIONAL = {
    'type',
    'abstract',
    'version',
    'license',
    'keywords',
    'references',
    'url',
    'doi',
    'date-released',
    'repository-code',
    'identifiers',
    'contact',
    'commit',
    'preferred-citation',
}
OF_A_PERSON = {'family-names', 'given-names', 'affiliation', 'orcid', 'email'}
OF_AN_ENTITY = {'name', 'website', 'email'}
OF_A_REFERENCE = {
    'type',
    'title',
    'authors',
    'journal',
    'volume',
    'issue',
    'start',
    'end',
    'year',
    'identifiers',
    'url',
    'doi',
}


def test_keys():
    assert REQUIRED <= set(CITATION) <= REQUIRED | OPTIONAL
    assert CITATION['cff-version'] == '1.2.0'
    assert CITATION['type'] in ('software', 'dataset')
    assert CITATION['license'] == 'Apache-2.0'
    assert all(isinstance(CITATION[key], str) and CITATION[key] for key in ('message', 'title', 'abstract'))
    assert len(set(CITATION['keywords'])) == len(CITATION['keywords']) > 0


def test_version_is_that_of_the_package():
    assert str(CITATION['version']) == __version__


@pytest.mark.parametrize('authors', [CITATION['authors'], *(each['authors'] for each in CITATION['references'])])
def test_authors(authors):
    assert authors
    for author in authors:
        allowed = OF_AN_ENTITY if 'name' in author else OF_A_PERSON
        assert author
        assert set(author) <= allowed
        assert all(isinstance(value, str) for value in author.values())


def test_references():
    for reference in CITATION['references']:
        assert {'type', 'title', 'authors'} <= set(reference) <= OF_A_REFERENCE
        assert isinstance(reference['year'], int)
        for identifier in reference['identifiers']:
            assert identifier['type'] in ('doi', 'url', 'swh', 'other')


@pytest.mark.parametrize('folder', ['uaafusion', 'baselines', 'ablations'])
def test_bibtex_says_the_same(folder):
    (reference,) = CITATION['references']
    (entry,) = re.findall(r'```bibtex\n(.*?)```', (ROOT / f'configs/{folder}/README.md').read_text('utf-8'), flags=re.S)
    fields = {key: ' '.join(value.split()) for key, value in re.findall(r'(\w+) = \{(.*?)\},\n', entry, flags=re.S)}
    authors = [f'{author["family-names"]}, {author["given-names"]}' for author in reference['authors']]
    assert fields == dict(
        title=reference['title'],
        author=' and '.join(authors),
        journal=reference['journal'],
        volume=str(reference['volume']),
        number=str(reference['issue']),
        pages=f'{reference["start"]}--{reference["end"]}',
        year=str(reference['year']),
        eprint=reference['identifiers'][0]['value'].removeprefix('arXiv:'),
        archiveprefix='arXiv',
    )
