"""The Flex Template: its metadata against the API's own types, its parameters against its entry, its image."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from google.cloud.dataflow_v1beta3.types import ParameterType, TemplateMetadata
from google.protobuf import json_format

import pipeline.cli
from pipeline.dataflow import _EMULATORS
from pipeline.runner import unknown_options
from pipeline.template import launch as entry

ROOT = Path(__file__).parents[2]
METADATA = ROOT / "pipeline" / "template" / "metadata.json"
SAMPLES = {
    "config": (["gs://my-bucket/shop.yaml", "gs://b/a/shop.yaml"], ["shop.yaml", "gs://bucket", "gs://b/a b"]),
    "sdk_container_image": (
        [
            "europe-west1-docker.pkg.dev/my-project/ltv/ltv-pipeline:1",
            "gcr.io/my-project/ltv@sha256:" + "0a" * 32,
            "localhost:5000/ltv",
        ],
        ["ltv", "gcr.io/My Project/x", "https://gcr.io/x/y"],
    ),
    "number_of_worker_harness_threads": (["1", "12"], ["0", "-1", "x", "1000"]),
    "dataflow_service_options": (
        ["streaming_mode_exactly_once", "a,b=c", "enable_google_cloud_profiler"],
        ["", "a,,b", "a b"],
    ),
}
"""Parameter → values that its expression must take, and such as it must not."""


@pytest.fixture(scope="module")
def metadata() -> Any:
    """Parsed as the API would: a field that it does not know, or of another type, is an error."""
    return json_format.Parse(METADATA.read_text(encoding="utf-8"), TemplateMetadata.pb()())


def test_the_template_streams_at_least_once(metadata: Any) -> None:
    assert metadata.name
    assert metadata.description
    assert metadata.streaming
    assert metadata.supports_at_least_once
    assert metadata.supports_exactly_once, "without it the API does not look at the default"
    assert metadata.default_streaming_mode == "AT_LEAST_ONCE"


def test_every_parameter_is_whole(metadata: Any) -> None:
    assert {each.name for each in metadata.parameters} == set(SAMPLES)
    assert [each.name for each in metadata.parameters if not each.is_optional] == ["config", "sdk_container_image"]
    for each in metadata.parameters:
        assert each.label
        assert each.help_text
        assert ParameterType(each.param_type) is not ParameterType.DEFAULT
        right, wrong = SAMPLES[each.name]
        for expression in each.regexes:
            assert expression.startswith("^")
            assert expression.endswith("$")
        assert all(re.search(expression, value) for expression in each.regexes for value in right)
        assert not [value for value in wrong if all(re.search(expression, value) for expression in each.regexes)]


def test_every_parameter_is_an_option_of_the_entry(metadata: Any) -> None:
    for each in metadata.parameters:
        argument = f"--{each.name}={SAMPLES[each.name][0][0]}"
        options, rest = pipeline.cli.parser().parse_known_args(["stream", argument])
        if rest:
            assert unknown_options(rest) == [], argument
        else:
            assert options.config == SAMPLES[each.name][0][0]
    assert unknown_options(["--no_such_parameter=1"]) == ["--no_such_parameter=1"], "else the above says nothing"


def dockerfile(target: str) -> str:
    """The instructions of a target, continued lines joined."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    (stage,) = re.findall(rf"^FROM [^\n]* AS {target}\n(.*?)(?=^FROM |\Z)", text, re.MULTILINE | re.DOTALL)
    return stage


def test_the_image_names_files_that_are_there() -> None:
    stage = dockerfile("pipeline")
    workdir = re.findall(r"^WORKDIR (\S+)", stage, re.MULTILINE)[-1]
    named = dict(re.findall(r"(FLEX_TEMPLATE_PYTHON_\w+)=(\S+)", stage))
    assert set(named) == {"FLEX_TEMPLATE_PYTHON_PY_FILE"}, "the image has the package: nothing is to be staged"
    place = named["FLEX_TEMPLATE_PYTHON_PY_FILE"].removeprefix(f"{workdir}/")
    assert ROOT / place == Path(str(entry.__file__))
    copied = re.findall(r"^COPY (?!--from)(\S.*) \S+$", stage, re.MULTILINE)
    assert place.split("/")[0] in [source for line in copied for source in line.split()]


def test_the_image_is_one_that_workers_can_start() -> None:
    """Dataflow's workers start an image by its entrypoint, which must be Beam's `boot`, as root."""
    stage = dockerfile("pipeline")
    assert re.findall(r"^ENTRYPOINT (.*)$", stage, re.MULTILINE) == ['["/opt/apache/beam/boot"]']
    assert "USER " not in stage
    assert "/opt/google/dataflow/python_template_launcher" in stage
    (version,) = re.findall(
        r"^FROM apache/beam_python3\.11_sdk:(\S+) AS pipeline", (ROOT / "Dockerfile").read_text(), re.M
    )
    assert f"apache-beam=={version}" in (ROOT / "constraints.txt").read_text(encoding="utf-8")


def test_the_entry_is_called_as_the_launcher_does(tmp_path: Path) -> None:
    """As a file, in another folder, with `--name=value` alone, and with an option that this Beam does not know."""
    config = tmp_path / "shop.yaml"
    config.write_text(
        "{project: local-shop, warehouse: 'bigquery:ltv', time_zone: Europe/Paris, currency: EUR, preset: case_study}"
    )
    environment = {name: value for name, value in os.environ.items() if name not in _EMULATORS}
    ended = subprocess.run(
        [
            sys.executable,
            str(entry.__file__),
            f"--config={config}",
            "--sdk_container_image=gcr.io/local-shop/ltv:1",
            "--project=local-shop",
            "--region=europe-west1",
            "--temp_location=gs://shop-dataflow/temp",
            "--staging_location=gs://shop-dataflow/staging",
            "--job_name=ltv-from-template",
            "--option_of_a_newer_launcher=1",
            "--dry_run=True",
        ],
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "the job ltv-from-template is built" in ended.stdout
    assert "left out, since Beam does not know it: --option_of_a_newer_launcher=1" in ended.stderr


def test_what_is_missing_is_said_by_the_entry(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert entry.launch([f"--config={tmp_path / 'nowhere.yaml'}"]) == 2
    assert "nowhere.yaml" in capsys.readouterr().err


def test_the_metadata_is_plain_json() -> None:
    parameters = json.loads(METADATA.read_text(encoding="utf-8"))["parameters"]
    assert len({each["name"] for each in parameters}) == len(parameters)
