"""Tables as text and as HTML."""

from scratchnet.common.tables import Table

TABLE = Table(("name", "count", "share"), [("a", 1234, 0.5), ("long <name>", None, 0.123456)], ["a note"])


def test_text_is_aligned_left_and_numbers_right():
    assert str(TABLE).splitlines() == [
        "name         count  share",
        "a            1,234    0.5",
        "long <name>         0.123",
        "a note",
    ]


def test_html_is_escaped():
    html = TABLE._repr_html_()
    assert "long &lt;name&gt;" in html
    assert '<td style="text-align: right">1,234</td>' in html
    assert html.endswith("<p>a note</p>")
