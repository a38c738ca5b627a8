"""Tables for readers."""

from mmfusion.analysis.tables import Sheet, markdown_table


def test_sheet():
    sheet = Sheet('T', ['a', '|b|'], [['x', '1'], ['y', '2']], 'note')
    lines = ['## T', '', r'| a | \|b\| |', '| --- | ---: |', '| x | 1 |', '| y | 2 |', '', 'note', '']
    assert sheet.to_markdown().splitlines() == lines[:-1]
    assert sheet.to_markdown() == '\n'.join(lines)
    assert sheet.to_rich().row_count == 2


def test_heading_and_alignment():
    sheet = Sheet('T', ['a', 'b'], [])
    assert sheet.to_markdown('**{}**') == '**T**\n\n| a | b |\n| --- | ---: |\n'
    assert sheet.to_rich().row_count == 0
    assert markdown_table(['a'], [['x']], ['---:']) == '| a |\n| ---: |\n| x |'
