"""An engine of the tests' own, an index of wheels on loopback, and the image that is built from both."""

import functools
import http.server
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from tests.sandbox.places import Dockerd, base_image, import_base
from tests.server.process import ROOT
from tests.servers.machine import as_root, demand, lacking

IMAGE = "pratique-test-image"
PYTHON = "3.11"  # of the base


@pytest.fixture(scope="session")
def image_engine() -> Iterator[Dockerd]:
    as_root()
    demand("dockerd", "docker.io")
    demand("docker", "docker-cli")
    dockerd = Dockerd()
    try:
        if why := dockerd.wait() or import_base(dockerd):
            lacking(why)
        yield dockerd
    finally:
        dockerd.stop()


@pytest.fixture(scope="session")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an index (PEP 503) that holds what the image installs, wherever pip has it from here."""
    folder = tmp_path_factory.mktemp("index")
    wheels, simple = folder / "wheels", folder / "simple"
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--dest",
        str(wheels),
        "hatchling",
        str(ROOT),
    ]
    command += ["--only-binary", ":all:", "--python-version", PYTHON]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=400)
    if done.returncode:
        lacking(f"pip finds no wheels for the image: {done.stderr.strip()[-300:]}")
    for wheel in wheels.glob("*.whl"):
        name = re.sub(r"[-_.]+", "-", wheel.name.split("-")[0]).lower()
        (simple / name).mkdir(parents=True, exist_ok=True)
        shutil.copy(wheel, simple / name)
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(_Quiet, directory=folder)
    ) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/simple"
        server.shutdown()
        thread.join()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its name there
        pass


@pytest.fixture(scope="session")
def image(image_engine: Dockerd, index: str) -> str:
    """The Dockerfile's image, built as the how-to says for a machine without a registry."""
    of = ["--build-arg", f"BASE={base_image()}", "--build-arg", f"PIP_INDEX_URL={index}"]
    done = image_engine.docker("build", "--network", "host", *of, "--tag", IMAGE, str(ROOT))
    assert done.returncode == 0, done.stdout.decode()[-3000:] + done.stderr.decode()[-3000:]
    return IMAGE
