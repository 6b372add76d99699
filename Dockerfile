# Builds the wheel in one stage and installs it, without a compiler or a cache, in another.
ARG BASE=python:3.13-slim-bookworm

FROM ${BASE} AS build
WORKDIR /src
COPY . .
RUN python -m venv /opt/pratique && /opt/pratique/bin/pip install --no-cache-dir .

FROM ${BASE}
COPY --from=build /opt/pratique /opt/pratique
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/pratique pratique
USER 10001
WORKDIR /var/lib/pratique
ENV PATH=/opt/pratique/bin:$PATH PYTHONUNBUFFERED=1
# What must outlive the container: the ledger, its key, pratique.toml and policy.toml.
VOLUME /var/lib/pratique
EXPOSE 8440
HEALTHCHECK --interval=30s --timeout=5s --start-period=15s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8440/healthz', timeout=4)"]
ENTRYPOINT ["pratique"]
CMD ["serve"]
