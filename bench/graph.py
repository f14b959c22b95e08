"""graph: how long the job for Dataflow takes to be built, without its service."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator

from bench.results import Result, Target
from bench.scene import Scene
from pipeline.dataflow import launch
from schemas.config_file import parse_config

SHOP = "{project: local-shop, warehouse: 'bigquery:ltv', time_zone: Europe/Paris, currency: EUR, preset: case_study}"
ARGUMENTS = (
    "--runner=DataflowRunner",
    "--region=europe-west1",
    "--temp_location=gs://local-shop-dataflow/temp",
    "--sdk_container_image=europe-west1-docker.pkg.dev/local-shop/ltv/ltv-pipeline:1",
    "--dry_run=True",
)
ROUNDS = 5


def run(scene: Scene) -> Iterator[Result]:
    config = parse_config(SHOP)
    seconds = []
    for _ in range(ROUNDS):
        began = time.monotonic()
        launched = launch(config, ARGUMENTS)
        seconds.append(time.monotonic() - began)
    scene.say(str(launched))
    yield Result(
        "graph",
        "the job for Dataflow is built",
        statistics.median(seconds),
        "s",
        target=Target(2.0, most=True),
        note=f"the first, which imports the runner: {seconds[0]:.2f} s",
    )
