"""Fetching from addresses: servers that fail."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from seqjax.datasets.fetch import addresses
from seqjax.datasets.fetch.addresses import GitHub, Url, download
from seqjax.errors import DataError
from tests.datasets.stand_ins import CONTENT, get

pytestmark = pytest.mark.usefixtures("no_folder")


class Server(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(404 if self.path.endswith("gone") else 200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[:-100] if self.path.endswith("short") else CONTENT)

    def parse_request(self):
        if b"garbage" in self.raw_requestline:
            self.wfile.write(b"what is this\r\n\r\n")
            return False
        return super().parse_request()

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    """The address of a server, and where it was when it has gone."""
    running = HTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=running.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{running.server_port}/"
    running.shutdown()
    thread.join()
    running.server_close()


def test_an_address(server, tmp_path):
    told = []
    assert download(server + "good", tmp_path, told.append).read_bytes() == CONTENT
    assert told[-1] == len(CONTENT)
    with pytest.raises(DataError, match="gone could not be fetched .*404"):
        download(server + "gone", tmp_path, told.append)
    with pytest.raises(DataError, match="short ended after 1100 of 1200 bytes|short could not be fetched"):
        download(server + "short", tmp_path, told.append)
    with pytest.raises(DataError, match=r"could not be fetched \(no network\?\)"):
        download("http://127.0.0.1:9/closed", tmp_path, told.append)
    with pytest.raises(DataError, match=r"could not be fetched"):
        download(server + "garbage", tmp_path, told.append)


def test_more_than_can_be_meant(server, tmp_path, monkeypatch):
    monkeypatch.setattr(addresses, "DOWNLOAD_LIMIT", 1000)
    with pytest.raises(DataError, match="gives more than 1000 bytes"):
        download(server + "good", tmp_path, print)


def test_a_repository_is_asked_for_one_commit(monkeypatch):
    asked = []
    monkeypatch.setattr(addresses, "download", lambda url, target, progress: asked.append(url) or target / "no")
    for path in ("d/e.gz", ""):
        with pytest.raises(DataError):
            get(GitHub("a/b", "c0ffee", path))
    assert asked[0].endswith("/a/b/c0ffee/d/e.gz") and asked[1].endswith("/a/b/zip/c0ffee")


def test_any_address_is_an_origin(server):
    assert get(Url(server + "good")) == CONTENT
    with pytest.raises(DataError, match="damaged or another version"):
        get(Url(server + "good"), sha256="0" * 64)
