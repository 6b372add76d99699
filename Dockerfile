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
COPY verifier verifier
RUN python3 -m venv /opt/pratique \
    && /opt/pratique/bin/python -m pip install --no-cache-dir --disable-pip-version-check ".${EXTRAS:+[$EXTRAS]}"

FROM ${BASE}
COPY --from=build /opt/pratique /opt/pratique
RUN groupadd --gid 10001 pratique \
    && useradd --uid 10001 --gid 10001 --no-log-init --create-home --home-dir /var/lib/pratique pratique \
    && echo '# Nothing is allowed until rules stand here; see docs/reference/policy.md.' > /var/lib/pratique/policy.toml
USER 10001:10001
WORKDIR /var/lib/pratique
ENV PATH=/opt/pratique/bin:$PATH PYTHONUNBUFFERED=1
# What must outlive the container: the ledger, its key, pratique.toml and policy.toml.
VOLUME /var/lib/pratique
EXPOSE 8440
# Where the server answers inside: say another with `-e HEALTHZ=…` if the settings say another port, or TLS. It asks
# itself, so nobody's certificate is looked at.
ENV HEALTHZ=http://127.0.0.1:8440/healthz
HEALTHCHECK --interval=30s --timeout=5s --start-period=15s \
    CMD ["python", "-c", "import os, ssl, urllib.request as u; u.urlopen(os.environ['HEALTHZ'], timeout=4, context=ssl._create_unverified_context())"]
ENTRYPOINT ["pratique"]
CMD ["serve"]
