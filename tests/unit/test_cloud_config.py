"""shop.yaml in a bucket, read by Google's own client from an HTTP server of ours."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

import pytest

from schemas import cloud_storage
from schemas.checkpoint_store import CheckpointObject
from schemas.config_file import CONFIG_LIMIT_BYTES, load_config
from schemas.errors import ConfigError

TEXT = "{time_zone: Europe/Paris, currency: EUR, preset: case_study, warehouse: 'bigquery:local-shop.ltv'%s}"


class Bucket(ThreadingHTTPServer):
    """Answers downloads of `objects`; a number instead of bytes is the status that it answers with."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Download)
        self.objects: dict[str, bytes | int] = {}
        self.ranges: list[str | None] = []


class Download(BaseHTTPRequestHandler):
    server: Bucket

    def do_GET(self) -> None:
        place = unquote(self.path.split("?")[0]).removeprefix("/download/storage/v1/b/")
        if "alt=media" in self.path:  # the client also looks at the bucket, by itself
            self.server.ranges.append(self.headers.get("Range"))
        found = self.server.objects.get(place.replace("/o/", "/", 1), 404)
        status, body = (found, b'{"error": {"message": "no"}}') if isinstance(found, int) else (200, found)
        if status == 200 and (asked := self.headers.get("Range")):
            status, body = 206, body[: int(asked.rpartition("-")[2]) + 1]
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    server = Bucket()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{server.server_address[1]}")
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_it_is_read_like_a_file(bucket: Bucket) -> None:
    bucket.objects["shops/a/shop.yaml"] = (TEXT % ", name: mine").encode()
    config = load_config("gs://shops/a/shop.yaml")
    assert (config.name, config.warehouse) == ("mine", "bigquery:local-shop.ltv")
    assert bucket.ranges == [f"bytes=0-{CONFIG_LIMIT_BYTES}"], "never more than a byte beyond the limit"


def test_problems_name_the_object(bucket: Bucket) -> None:
    bucket.objects["shops/shop.yaml"] = (TEXT % ", time_zon: x, server_id: 0").encode()
    with pytest.raises(ConfigError) as wrong:
        load_config("gs://shops/shop.yaml")
    assert str(wrong.value).startswith("gs://shops/shop.yaml: 2 problems")


def test_a_password_does_not_belong_there(bucket: Bucket) -> None:
    bucket.objects["shops/shop.yaml"] = (TEXT % ", source: 'mysql://repl:geheim@db:3306'").encode()
    with pytest.raises(ConfigError, match="holds a password") as wrong:
        load_config("gs://shops/shop.yaml")
    assert "geheim" not in f"{wrong.value}{wrong.value.hint}"
    bucket.objects["shops/shop.yaml"] = (TEXT % ", source: 'mysql://repl@db:3306'").encode()
    assert load_config("gs://shops/shop.yaml").source is not None


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (404, "there is no such object"),
        (403, "may not be read"),
        (b"\xff\xfe", "is not UTF-8"),
        (b"x" * (CONFIG_LIMIT_BYTES + 2), "larger than"),
        (416, "must be a mapping"),
    ],
)
def test_what_cannot_be_read(bucket: Bucket, content: bytes | int, words: str) -> None:
    bucket.objects["shops/shop.yaml"] = content
    with pytest.raises(ConfigError, match=words) as wrong:
        load_config("gs://shops/shop.yaml")
    assert "gs://shops/shop.yaml" in str(wrong.value)


@pytest.mark.parametrize("url", ["gs://", "gs://bucket", "gs://bucket/", "gs:///object"])
def test_a_url_that_names_no_object(url: str) -> None:
    with pytest.raises(ConfigError, match="must be gs://bucket/object"):
        load_config(url)


def test_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    from google.auth.exceptions import DefaultCredentialsError

    def nobody(*_: object) -> None:
        raise DefaultCredentialsError("none")

    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    monkeypatch.setattr("google.auth.default", nobody)
    for read in (lambda: load_config("gs://shops/shop.yaml"), lambda: CheckpointObject("gs://shops/checkpoint.json")):
        with pytest.raises(ConfigError, match="no Google Cloud credentials"):
            read()
    assert cloud_storage.is_object_url("gs://a/b")
    assert not cloud_storage.is_object_url("shop.yaml")
