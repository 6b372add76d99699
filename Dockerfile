# Builds the wheel in one stage and installs it, without a compiler or a cache, in another.
#
#   docker build -t pratique .
#   docker build -t pratique --build-arg BASE=debian-with-python3-venv --build-arg EXTRAS=sandbox,postgres .
#
# BASE is any image with Python 3.11 or newer (`python3`, with venv). docs/how-to/run-in-a-container.md says more.
ARG BASE=python:3.13-slim-bookworm

FROM ${BASE} AS build
# What pip should ask, for a network of your own: `--build-arg PIP_INDEX_URL=…`. None of it is kept in the image.
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG PIP_CERT
ARG EXTRAS=""
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY pratique pratique
COPY examples examples
RUN python3 -m venv /opt/pratique \
    && /opt/pratique/bin/python -m pip install --no-cache-dir --disable-pip-version-check ".${EXTRAS:+[$EXTRAS]}"

FROM ${BASE}
COPY --from=build /opt/pratique /opt/pratique
RUN groupadd --system --gid 10001 pratique \
    && useradd --system --uid 10001 --gid 10001 --create-home --home-dir /var/lib/pratique pratique
USER 10001:10001
WORKDIR /var/lib/pratique
ENV PATH=/opt/pratique/bin:$PATH PYTHONUNBUFFERED=1
# What must outlive the container: the ledger, its key, pratique.toml and policy.toml.
VOLUME /var/lib/pratique
EXPOSE 8440
HEALTHCHECK --interval=30s --timeout=5s --start-period=15s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8440/healthz', timeout=4)"]
ENTRYPOINT ["pratique"]
CMD ["serve"]
