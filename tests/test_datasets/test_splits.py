import pytest

from mmfusion.datasets.splits import check_hold_out, part_of, stems_listed


@pytest.mark.parametrize('hold_out', [2, 3, 7, 20])
@pytest.mark.parametrize('number', [0, 1, 14, 15])
def test_parts_share_nothing_and_lack_nothing(hold_out, number):
    names = [f'{n:03}' for n in range(1, number + 1)]
    held_out, train = part_of(names, hold_out, 'held_out'), part_of(names, hold_out, 'train')
    assert held_out == names[hold_out - 1 :: hold_out]
    assert sorted(held_out + train) == names
    assert train == sorted(train)


def test_nothing_held_out():
    assert part_of(['b', 'a'], None, 'train') == ['b', 'a']


@pytest.mark.parametrize(
    ('hold_out', 'part', 'error', 'message'),
    [
        (5, 'val', ValueError, "'held_out'.*not 'val'"),
        (0, 'train', ValueError, 'hold_out=0'),
        (True, 'train', TypeError, 'not True'),
        (0.2, 'train', TypeError, r'not 0\.2'),
    ],
)
def test_refusals(hold_out, part, error, message):
    with pytest.raises(error, match=message):
        check_hold_out(hold_out, part)


@pytest.mark.parametrize(
    ('line', 'expected'),
    [
        ('a', {'a'}),
        ('day/a', {'day/a'}),
        ('test/a', {'a'}),
        ('test/vi/a', {'a'}),
        ('mine/test/day/a', {'day/a'}),
        ('/data/mine/test/vi/a', {'a'}),
        ('train/a', set()),
        ('st/a', set()),
        ('vi', set()),
        ('b', set()),
    ],
)
@pytest.mark.parametrize('folder', ['/data/mine/test/vi', '/data/mine/test/vi/', '\\data\\mine\\test\\vi'])
def test_names_of_pairs(line, expected, folder):
    assert stems_listed(['a', 'day/a'], [line], folder) == expected
