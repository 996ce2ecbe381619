"""The builder of the page's HTML, and that all HTML goes through it: the source is read for markup made elsewhere."""

from __future__ import annotations

import ast
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rap.config import ASSETS
from ui.page.html import ATTRIBUTES, TAGS, Html, framed, markup, tag, together, whole_page

ROOT = ASSETS.parent
MARKUP = re.compile(r"<[/!]?[a-zA-Z%{]|<!|<$")  # `<b`, `</b`, `<!`, and what a name is put into
BYTE_ORDER = re.compile(r"<\d*[a-zA-Z]\d*")  # a number in a file, as NumPy and `struct` name it
NO_MARKUP = {  # files besides the builder whose strings hold a `<`, and why that is no HTML of the page's
    "ui/serve/hub.py": ("</head>", "<style>", "</style><script>", "</script>"),  # viser's page, from files of ours
    "rap/formats/colmap_binary.py": ("<",),  # orders of bytes, as `struct` names them
    "rap/cli/synthetic.py": ("OUT/<h>x<w>",),  # help of a command
    "rap/bench/measure.py": ("<",),  # comparisons, in a terminal
    "rap/bench/speed.py": ("<",),
    "rap/bench/film.py": ("<",),
}


def sources():
    return [ROOT / "app.py", *sorted((ROOT / "ui").rglob("*.py")), *sorted((ROOT / "rap").rglob("*.py"))]


def strings(tree):
    """(line, text) of every string that the code uses: f-strings with `{}` for what is put in, no docstrings."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    passed_over = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    passed_over |= {  # a string below a constant is its docstring
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            passed_over |= {id(part) for part in node.values}
            yield node.lineno, "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in passed_over:
            yield node.lineno, node.value


def markup_in(source, allowed=()):
    found = []
    for line, text in strings(ast.parse(source)):
        for words in allowed:
            text = text.replace(words, "")
        if MARKUP.search(text) and not BYTE_ORDER.fullmatch(text):
            found.append((line, text))
    return found


def test_no_html_is_made_outside_the_builder():
    found = []
    for path in sources():
        name = path.relative_to(ROOT).as_posix()
        if name != "ui/page/html.py":
            found += [(name, *one) for one in markup_in(path.read_text(encoding="utf-8"), NO_MARKUP.get(name, ()))]
    assert not found, "made of `tag` in ui/page/html.py, or else added to NO_MARKUP with a reason"


@pytest.mark.parametrize(
    "source",
    ["f'<b>{name}</b>'", "f'<{name}>'", "'<b>' + name", "'<%s>' % name", "'<{}>'.format(name)", "'<' + name", "'<!--'"],
)
def test_the_check_sees_every_way_to_make_markup(source):
    assert markup_in(f"name = 1\nshown = {source}")


def test_the_check_leaves_comparisons_and_docstrings_alone():
    assert not markup_in('"""`<b>`."""\nsmall = f"{1} < {2}, 3 <= 4 <- 5"\nA = 1\n"""`<b>` of A."""')


CALLS = {  # who may call what Gradio shows as HTML, or what makes a string markup
    "HTML": {"ui/page/parts.py"},
    "Html": {"ui/page/html.py"},
    "Error": {"ui/page/parts.py", "ui/page/api_calls.py"},  # of the API: no page shows these
    "Info": {"ui/page/api_calls.py"},  # likewise
    **dict.fromkeys(("Markdown", "Warning", "Success", "Chatbot", "HighlightedText"), set()),
}


def test_what_shows_html_is_called_in_one_place():
    for path in sources():
        name = path.relative_to(ROOT).as_posix()
        if name.startswith("rap/"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            called = node.func if isinstance(node, ast.Call) else None
            word = getattr(called, "attr", None) or getattr(called, "id", None)
            assert name in CALLS.get(str(word), {name}), f"{name}:{getattr(node, 'lineno', 0)} calls {word}"


def test_scripts_of_the_page_set_text_and_never_markup():
    scripts = [*sorted(ASSETS.glob("*.js")), *(path for path in sources() if ROOT / "rap" not in path.parents)]
    scripts.remove(ROOT / "ui" / "page" / "html.py")  # the builder, whose frame is a page of an origin of its own
    makers = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc")
    assert [path.name for path in scripts if makers.search(path.read_text(encoding="utf-8"))] == []


class Read(HTMLParser):
    """What a browser would make of it: elements with their attributes, and the text."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.text = [], ""
        self.feed(text)
        self.close()

    def handle_starttag(self, name, attributes):
        self.elements.append((name, dict(attributes)))

    def handle_data(self, data):
        self.text += data


@given(st.text())
def test_text_and_values_come_back_as_they_were(text):
    text = text.replace("\r", "").replace("\0", "")  # a parser reads these otherwise
    read = Read(tag("div", text, tag("b", text), title=text))
    assert read.elements == [("div", {"title": text}), ("b", {})]
    assert read.text == text * 2


def test_markup_that_was_glued_together_is_text_again():
    bold = tag("b", "x")
    assert Read(tag("div", bold + bold)).text == "<b>x</b><b>x</b>" and type(bold + bold) is str
    assert Read(tag("div", together(bold, bold))).text == "xx"
    assert markup(bold) == bold and markup("<b>") == "&lt;b&gt;" and markup(None) == ""


def test_attributes_are_written_as_in_html():
    made = tag("input", type="range", min=0, checked=True, class_="a", aria_label='"', id=None, loop=False)
    assert made == '<input type="range" min="0" checked class="a" aria-label="&quot;">' and isinstance(made, Html)


@pytest.mark.parametrize(
    ("name", "attributes", "sentence"),
    [
        ("script", {}, "tag must be one of"),
        ("b onload", {}, "tag must be one of"),
        ("img", {"onerror": "x()"}, "attribute must be one of"),
        ("img", {"srcset": "x"}, "attribute must be one of"),
        ("b", {'title="" onclick': "x()"}, "attribute must be one of"),
        ("b", {"data-x onclick": "x()"}, "attribute must be one of"),
        ("img", {"src": "https://elsewhere/x.png"}, "src must be as data:"),
        ("img", {"src": "data:image/svg+xml;base64,AA"}, "src must be as data:"),
        ("img", {"src": "data:image/jpeg;base64,AA\n"}, "src must be as data:"),
        ("i", {"style": "width:5%;background:url(//elsewhere)"}, "style must be as"),
        ("i", {"style": "width:1e999%"}, "style must be as"),
    ],
)
def test_what_could_run_or_fetch_something_is_refused(name, attributes, sentence):
    with pytest.raises(ValueError, match=sentence):
        tag(name, **attributes)


def test_no_allowed_name_can_run_anything():
    assert not TAGS & {"script", "iframe", "object", "embed", "link", "meta", "base", "style", "form", "a", "template"}
    assert not {name for name in ATTRIBUTES if name.startswith("on")} | ATTRIBUTES & {"href", "action", "srcdoc"}


@given(st.text())
def test_a_framed_page_stays_in_its_frame(text):
    text = text.replace("\r", "").replace("\0", "")
    read = Read(whole_page(text, framed(text, text), text, style="b { }", script="1 < 2"))
    (frame,) = [attributes for name, attributes in read.elements if name == "iframe"]
    assert frame == {"sandbox": "allow-scripts", "title": text, "srcdoc": text}
    names = [name for name, _ in read.elements]
    assert names == ["html", "head", "meta", "meta", "meta", "title", "style", "body", "iframe", "script"]


@pytest.mark.parametrize("of_ours", [{"style": "</style>", "script": ""}, {"style": "", "script": "'</script>'"}])
def test_a_kept_page_has_no_script_that_ends_early(of_ours):
    with pytest.raises(ValueError, match="without '</'"):
        whole_page("title", **of_ours)
