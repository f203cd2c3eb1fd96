# The image of init and of the workers. Packages come from deploy/requirements.lock: what the extras `worker` and `apprise` need, every file by its hash.
FROM python:3.11.14-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/tokenworth
COPY deploy/requirements.lock /src/
RUN /opt/tokenworth/bin/pip install --require-hashes --requirement /src/requirements.lock
COPY pyproject.toml README.md LICENSE /src/
COPY schemas /src/schemas
COPY streams /src/streams
RUN /opt/tokenworth/bin/pip install --no-deps --no-build-isolation /src

FROM python:3.11.14-slim-bookworm
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin tokenworth
COPY --from=build /opt/tokenworth /opt/tokenworth
COPY deploy/entrypoint.sh /usr/local/bin/tokenworth-entrypoint
# XDG_CACHE_HOME: where a worker keeps the machine code that it makes at its first start.
ENV PATH=/opt/tokenworth/bin:$PATH PYTHONUNBUFFERED=1 TOKENWORTH_METRICS_PORT=9464 XDG_CACHE_HOME=/tmp/cache
# Relative paths (Faust makes a data directory for tables, which are not used) land in the one place that is writable.
WORKDIR /tmp
USER 10001
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=3 \
  CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ[\"TOKENWORTH_METRICS_PORT\"]}/ready', timeout=4)"]
ENTRYPOINT ["tokenworth-entrypoint"]
CMD ["worker"]
