"""The command that counts operations and parameters."""

NAME = 'uaafusion-gate_unet-tiny_1xb4-300_synthetic-96x128'


def test_table(tool, capsys):
    assert tool('analysis_tools/get_flops', NAME, '--shape', 32, '--cfg-options', 'model.fusion.num_stages=1') == 0
    table = capsys.readouterr().out
    assert 'GFLOP for one pair of 32 x 32' in table
    for part in ('fusion', 'segmentor', 'refine', 'all'):
        assert part in table


def test_messages(told):
    assert 'a shape is height and width' in told('analysis_tools/get_flops', NAME, '--shape', 0, 3)
    assert 'no config at nowhere.py' in told('analysis_tools/get_flops', 'nowhere.py')
