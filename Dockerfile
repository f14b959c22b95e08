# Two images from one file:
#   docker build --target worker   -t ltv-worker .      the binlog worker
#   docker build --target pipeline -t ltv-pipeline .    the pipeline, as a Dataflow Flex Template and its worker image
# Python packages are pinned by constraints.txt. The worker does not run as root.

FROM python:3.11.14-slim-bookworm AS build
WORKDIR /src
RUN python -m venv /opt/ltv
COPY constraints.txt setup.py pyproject.toml README.md LICENSE ./
COPY schemas schemas
COPY binlog_worker binlog_worker
COPY pipeline pipeline

FROM build AS build-worker
RUN /opt/ltv/bin/pip install --no-cache-dir --constraint constraints.txt '.[worker]'

FROM python:3.11.14-slim-bookworm AS worker
COPY --from=build-worker /opt/ltv /opt/ltv
RUN groupadd --gid 10001 ltv \
    && useradd --uid 10001 --gid ltv --home-dir /var/lib/ltv --create-home --shell /usr/sbin/nologin ltv
USER 10001:10001
WORKDIR /var/lib/ltv
ENV PATH=/opt/ltv/bin:$PATH PYTHONUNBUFFERED=1
STOPSIGNAL SIGTERM
ENTRYPOINT ["binlog-worker"]
CMD ["run", "--config", "/etc/ltv/shop.yaml"]

FROM gcr.io/dataflow-templates-base/python311-template-launcher-base:20260122_RC00 AS launcher

# The same image launches the template and runs on Dataflow's workers, so both have the same packages. A worker starts it
# by Beam's `boot`; the launcher's machine calls the launcher itself. It runs as root, since Dataflow mounts folders into
# it that root alone may write, and so does the launcher's log; its machines run nothing else. Nothing is staged: no
# setup file, no requirements.
FROM apache/beam_python3.11_sdk:2.77.0 AS pipeline
COPY --from=launcher /opt/google/dataflow/python_template_launcher /opt/google/dataflow/python_template_launcher
WORKDIR /template
COPY constraints.txt setup.py pyproject.toml README.md LICENSE ./
COPY schemas schemas
COPY binlog_worker binlog_worker
COPY pipeline pipeline
RUN pip install --no-cache-dir --constraint constraints.txt '.[pipeline]' \
    && pip check
ENV FLEX_TEMPLATE_PYTHON_PY_FILE=/template/pipeline/template/launch.py \
    PYTHONUNBUFFERED=1
ENTRYPOINT ["/opt/apache/beam/boot"]
