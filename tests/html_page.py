"""A page as its readers get it: tables, pictures and texts, out of the HTML."""

from html.parser import HTMLParser

VOID = {'meta', 'link', 'img', 'br', 'hr', 'input'}


class Page(HTMLParser):
    """What is in a page.

    ``tables`` has, by caption, lists of cells; ``elements`` all elements with their attributes; ``problems`` what is
    not closed.
    """

    def __init__(self, text):
        super().__init__()
        self.tables, self.elements, self.problems, self.texts = {}, [], [], []
        self._open, self._rows, self._caption = [], [], ''
        self.feed(text)
        self.close()
        self.problems += self._open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag in VOID:
            return
        self._open.append(tag)
        if tag == 'table':
            self._rows, self._caption = [], ''
        elif tag == 'tr':
            self._rows.append([])
        elif tag in ('td', 'th'):
            self._rows[-1].append('')
        elif tag == 'span' and 'td' in self._open:
            self._rows[-1][-1] += '|'

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if not self._open or self._open[-1] != tag:
            self.problems.append(f'</{tag}> in {self._open[-3:]}')
        else:
            self._open.pop()
        if tag == 'table':
            self.tables[self._caption] = self._rows

    def handle_data(self, data):
        self.texts.append(data)
        if self._open and self._open[-1] == 'caption':
            self._caption += data
        elif {'td', 'th'} & set(self._open):
            self._rows[-1][-1] += data.strip()

    def named(self, tag):
        """Attributes of all elements of a kind."""
        return [attributes for name, attributes in self.elements if name == tag]
