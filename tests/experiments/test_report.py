"""`python -m experiments report`: one page that needs nothing beside itself."""

import re
from html.parser import HTMLParser

import pytest

import seqjax as sj
from experiments import adding
from experiments.__main__ import main
from experiments.harness.report import write_report
from experiments.harness.run import Run
from tests.experiments.makers import TINY, Options, runs_in

ALONE = {"meta", "img", "br"}


class Reader(HTMLParser):
    """Tags that are open, in order, and what every tag says."""

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.text = [], [], ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ALONE:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_a_report_of_two_seeds(here, capsys):
    for seed in (0, 1):
        adding.main(adding.Config(**TINY, seed=seed))
    capsys.readouterr()
    main(["report", "adding"])
    (path,) = here.glob("runs/report-adding-*.html")
    assert capsys.readouterr().out.strip() == f"report: {path.relative_to(here)}"
    page = Reader(path.read_text())
    assert not page.open
    assert "Which cells carry two numbers" in page.text and "Over seeds" in page.text and "±" in page.text
    assert page.text.count("GRU(3)") >= 4  # over seeds, and in the table and config of each run
    assert page.text.count(": done") == 2 and "jax" in page.text
    pictures = [attributes for tag, attributes in page.tags if tag == "img"]
    assert len(pictures) == 3 and all(each["src"].startswith("data:image/svg+xml;base64,") for each in pictures)
    assert not {tag for tag, _ in page.tags} & {"script", "link", "iframe"}
    assert not re.search(r"(src|href)=.(?!data:)", path.read_text())
    main(["report", "adding"])  # once more: the same page in the same place
    assert len(list(here.glob("runs/report-*.html"))) == 1


def test_what_a_run_says_is_text_in_the_page(here):
    """A cell, an experiment or a result with the letters of HTML in it must not become markup."""
    run = Run("<b>x", Options(width='<img src="x" onerror="alert(1)">'))
    rows = run.work({"a": lambda folder: [{"cell": "</td><script>", "mse": 1.0}]})
    run.finish({"by": ["cell"], "measure": "mse", "trend": None, "rows": rows})
    path = write_report(runs_in(here))
    page = Reader(path.read_text())
    assert "</td><script>" in page.text and '<img src="x"' in page.text and "<b>x" in page.text
    assert not page.open and "script" not in dict(page.tags) and "b" not in dict(page.tags)


def test_unfinished_runs_and_several_experiments_have_a_page_too(here):
    adding.main(adding.Config(**TINY))
    Run("adding", adding.Config(seed=9))._lock.close()
    Run("other", Options())._lock.close()
    page = Reader(write_report(runs_in(here)).read_text())
    assert page.text.count("nothing is finished yet") == 2 and "killed" in page.text
    assert [tag for tag, _ in page.tags].count("h2") == 2


def test_nothing_to_write_about(here):
    with pytest.raises(sj.ArgumentError, match="report: there is no run"):
        write_report([])
    with pytest.raises(sj.ArgumentError, match="no run is called 'nothing'"):
        main(["report", "nothing"])
