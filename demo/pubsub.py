"""A private Pub/Sub emulator on a free loopback port."""

from __future__ import annotations

import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal

import grpc

from demo.process import LOOPBACK, ServerMissing, ServerProcess, free_port

if TYPE_CHECKING:
    from typing_extensions import Self

SDK_FOLDERS = ("/usr/lib/google-cloud-sdk", "/usr/share/google-cloud-sdk", "/opt/google-cloud-sdk")


class PubSubEmulator:
    """Google's Pub/Sub emulator where installed, else the one of the PyPI package drongo (`demo.drongo_emulator`).

    `host` is what belongs into PUBSUB_EMULATOR_HOST; `kind` tells which one runs, and may be asked for. State lives
    in memory: stopping forgets all topics.
    """

    def __init__(self, folder: Path | str, kind: Literal["google", "drongo"] | None = None) -> None:
        self.folder = Path(folder).resolve()
        self.kind: Literal["google", "drongo"] = kind or ("google" if google_emulator() else "drongo")
        self.port = 0
        self._process: ServerProcess | None = None

    @property
    def host(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def start(self) -> Self:
        """Starts it, on the port it had before if any, and waits until ListTopics answers."""
        if self._process is not None and self._process.alive():
            return self
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = self.port or free_port()
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        log = self.folder / f"pubsub-{self.kind}.log"
        self._process = ServerProcess(f"{self.kind}'s Pub/Sub emulator", self._command(), log, environment)
        self._process.wait_until(self._answers, seconds=60)
        return self

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()  # there is nothing to save

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()

    def _command(self) -> list[str]:
        if self.kind == "google" and (command := google_emulator()):
            return [*command, f"--host={LOOPBACK}", f"--port={self.port}"]
        if self.kind == "drongo" and find_spec("drongo"):
            return [sys.executable, "-m", "demo.drongo_emulator", str(self.port)]
        raise ServerMissing(
            f"{self.kind}'s Pub/Sub emulator is not installed",
            hint="`apt-get install google-cloud-cli-pubsub-emulator` or `gcloud components install pubsub-emulator`, "
            "with a Java runtime; or `pip install drongo==0.8.0`",
        )

    def _answers(self) -> bool:
        project = b"projects/local-shop"
        request = b"\x0a" + bytes([len(project)]) + project  # ListTopicsRequest.project, field 1
        with grpc.insecure_channel(self.host, options=[("grpc.enable_http_proxy", 0)]) as channel:
            try:
                channel.unary_unary("/google.pubsub.v1.Publisher/ListTopics", bytes, bytes)(request, timeout=2)
            except grpc.RpcError:
                return False
        return True


def google_emulator() -> list[str] | None:
    """The command of Google's emulator: java and its jar under the Cloud SDK. `gcloud` itself would take seconds."""
    gcloud = shutil.which("gcloud")
    own = str(Path(gcloud).resolve().parent.parent) if gcloud else None
    roots = [os.environ.get("CLOUDSDK_ROOT"), own, *SDK_FOLDERS]
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=str(Path(home, "bin"))) if home else None
    java = java or shutil.which("java")
    for root in filter(None, roots):
        jars = sorted(Path(root).glob("platform/pubsub-emulator/lib/cloud-pubsub-emulator-*-all.jar"))
        if jars and java:
            return [java, "-jar", str(jars[-1])]
    return None
