"""What a page holds, read as a browser would; the table that the pages are about."""

from html.parser import HTMLParser
from pathlib import Path

WINE = str(Path(__file__).parents[2] / "sample_data" / "wine.csv")


class Reader(HTMLParser):
    """Collects what is checked of a page: open tags, ids, addresses, images without words."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.addresses, self.silent, self.text = [], [], [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        own = dict(attributes)
        if tag not in ("meta", "link", "input", "br"):
            self.open.append(tag)
        self.ids += [own["id"]] if "id" in own else []
        self.addresses += [own[name] for name in ("src", "href", "action") if name in own]
        if own.get("role") in ("img", "region") and not own.get("aria-label"):
            self.silent.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"style", "script"} & set(self.open):
            self.text += data
