"""Command lines of the other tools that make no sense."""

import pytest

# Tool and arguments to what is told.
LINES = {
    'test.py {config} nowhere.pth': ['no checkpoint at nowhere.pth'],
    'test.py nowhere.py nowhere.pth': ['no config at nowhere.py'],
    'test.py {config} {config} --tta': ['tiny.py'],
    'train.py {config} --amp --cfg-options optim_wrapper.type=ApexOptimWrapper': ['--amp', 'ApexOptimWrapper'],
    'train.py {config} --cfg-options launcher=pytorch': ['use --launcher'],
    'model_converters/released_to_mmfusion.py nowhere.pth out.pth': ['no checkpoint at nowhere.pth'],
    'model_converters/released_to_mmfusion.py {config} out.pth': ['tiny.py'],
    'analysis_tools/evidence.py nowhere nowhere.pth': ["no config is called 'nowhere'"],
    'analysis_tools/evidence.py {config} nowhere.pth': ['no checkpoint at nowhere.pth'],
    'analysis_tools/coalitions.py {config} nowhere.pth': ['no checkpoint at nowhere.pth'],
    'analysis_tools/interventions.py {config} nowhere.pth': ['no checkpoint at nowhere.pth'],
    'analysis_tools/attribution_maps.py {config} nowhere.pth --index 0 --out maps': ['no checkpoint at nowhere.pth'],
    'analysis_tools/robustness.py --model ours {config}': ['--model', 'at least one checkpoint'],
    'analysis_tools/robustness.py --model ours {config} nowhere.pth': ['nowhere.pth'],
    'analysis_tools/robustness.py --model ours {config} a.pth --degrade infrared': ["'infrared'"],
    'analysis_tools/robustness.py --model ours {config} a.pth --degrade infrared:heat': ['heat'],
    'analysis_tools/fusion_quality.py --pairs nowhere': ['nowhere'],
    'analysis_tools/fusion_quality.py --pairs a=nowhere': ['nowhere'],
    'analysis_tools/compare.py nowhere.py': ['no config matches nowhere.py'],
    'analysis_tools/compare.py {config} --seeds 0': ['does not say which method'],
    'analysis_tools/compare.py {config} --jobs 0': ['jobs', '0'],
    'analysis_tools/benchmark.py --config nowhere.py': ['nowhere.py'],
    'analysis_tools/benchmark.py --repeats 0': ['--repeats must be at least 1, got 0'],
    'analysis_tools/summarise_runs.py nowhere': ['nowhere'],
    'analysis_tools/browse_dataset.py nowhere.py': ['no config at nowhere.py'],
    'analysis_tools/browse_dataset.py {config} --number 0': ['--number', '0'],
    'analysis_tools/browse_dataset.py {config} --out {config}': ['tiny.py'],
    'dataset_converters/msrs.py nowhere': ['no folder or archive at nowhere'],
    'dataset_converters/mfnet.py {config}': ['tiny.py is neither a folder nor', '.rar'],
    'dataset_converters/fmb.py data': ['not the layout of FMB', 'train/Visible'],
    'dataset_converters/cwfid.py data --scale 0': ['scale', '0'],
}


@pytest.fixture
def config(run_config, model_config, pair_folder, plain_configs, tmp_path, monkeypatch):
    run_config(model_config(), pair_folder(tmp_path / 'data'), tmp_path / 'run').dump(tmp_path / 'tiny.py')
    monkeypatch.chdir(tmp_path)
    return tmp_path / 'tiny.py'


@pytest.mark.parametrize('line', LINES)
def test_told(load_tool, config, capfd, monkeypatch, tmp_path, line):
    monkeypatch.setenv('LOCAL_RANK', '0')
    tool, *arguments = line.format(config=config).split()
    before = sorted(path.name for path in tmp_path.iterdir())
    try:
        status = load_tool(tool).main(arguments)
    except SystemExit as stopped:
        status = stopped.code
    assert status in (1, 2)
    error = capfd.readouterr().err.strip().splitlines()[-1]
    for words in LINES[line]:
        assert words in error, error
    assert 'error: ' in error
    assert len(error) < 600, error
    assert sorted(path.name for path in tmp_path.iterdir()) == before
