# The image of web server, workers, beat and commands: one image, many commands (compose.yaml).
#
# Pin the base by its digest where you build: `docker buildx imagetools inspect python:3.11.14-slim-trixie` tells it, and
# `--build-arg PYTHON=python:3.11.14-slim-trixie@sha256:…` uses it.

ARG PYTHON=python:3.11.14-slim-trixie

# What is needed to build stays here.
FROM ${PYTHON} AS build
ENV UV_PROJECT_ENVIRONMENT=/opt/offboard/.venv \
    UV_PYTHON_DOWNLOADS=never \
    UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    PYTHONDONTWRITEBYTECODE=1
RUN pip install --no-cache-dir uv==0.13.9
WORKDIR /opt/offboard
# Extras, such as "--extra s3 --extra sentry".
ARG EXTRAS=""
# The packages first: they change less often than the code, and are fetched anew only then.
COPY pyproject.toml uv.lock ./
# hadolint ignore=SC2086
RUN uv sync --frozen --no-default-groups --no-install-project ${EXTRAS}
COPY . .
# Settings demand secrets, of which neither step needs any: these are of this one command, and of no other.
RUN .venv/bin/pybabel --quiet compile -D django -d locale \
    && DATA_DIR=/opt/offboard/built SECRET_KEY=of-the-build \
       FIELD_ENCRYPTION_KEYS=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= \
       .venv/bin/python manage.py collectstatic --noinput

FROM ${PYTHON}
# `backup` and `restore` need pg_dump and pg_restore that are not older than the server: Debian 13 has those of 17.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends postgresql-client \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 1000 --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin offboard \
    && install --directory --owner=1000 --group=1000 --mode=0700 /data
COPY --from=build /opt/offboard /opt/offboard
WORKDIR /opt/offboard
# Nothing is written but below /data and /tmp: the rest can be read-only (`docker run --read-only --tmpfs /tmp`).
ENV PATH=/opt/offboard/.venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DATA_DIR=/data \
    STATIC_ROOT=/opt/offboard/built/static \
    LOG_FORMAT=json
USER 1000:1000
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
# Of the web server; the others have checks of their own in compose.yaml.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["python", "-m", "config.probe"]
CMD ["python", "-m", "config.web"]
