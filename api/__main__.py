"""Start the service: `python -m api`.

VNYATNO_HOST (127.0.0.1) and VNYATNO_SERVICE_PORT (8000) say where it listens, VNYATNO_HOME where its data lies;
configs/service.yaml says the rest. This process becomes BentoML's supervisor, so SIGTERM to it ends everything.
"""

from __future__ import annotations

import os
import socket
import sys
import tempfile
from pathlib import Path

from api.settings import SettingsError, read_settings, read_vertex_routes
from speech.home import home

ROOT = Path(__file__).resolve().parent.parent
SHUTDOWN_SECONDS = 5  # for requests in progress; whoever sent SIGTERM waits 10 s for the end of all


def main() -> int:
    host = os.environ.get("VNYATNO_HOST") or "127.0.0.1"
    host = "127.0.0.1" if host == "localhost" else host  # BentoML takes addresses only
    try:
        port = _port(os.environ.get("VNYATNO_SERVICE_PORT") or "8000")
        read_settings()
        read_vertex_routes()
        data, bentoml_home = _folders(port)
        _require_free(host, port)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 1
    environment = os.environ | {
        "VNYATNO_HOME": str(data),
        "BENTOML_HOME": str(bentoml_home),
        "BENTOML_DO_NOT_TRACK": "True",
        # glibc keeps what each thread has freed for that thread; a worker's compute by turns, so one store does for all
        # and a large encoder takes 70 MB less in each worker.
        "MALLOC_ARENA_MAX": os.environ.get("MALLOC_ARENA_MAX") or "1",
        # NumPy's threads, which wait for work by turning in circles, would take a sixth of the model's time.
        "OPENBLAS_NUM_THREADS": os.environ.get("OPENBLAS_NUM_THREADS") or "1",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
    }
    os.chdir(ROOT)
    command = [sys.executable, "-m", "bentoml", "serve", "api.service:Vnyatno", "--host", host, "--port", str(port)]
    os.execve(sys.executable, [*command, "--timeout-graceful-shutdown", str(SHUTDOWN_SECONDS)], environment)


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise SettingsError(f"VNYATNO_SERVICE_PORT: {text!r} is no port (1 to 65535)")
    return int(text)


def _folders(port: int) -> tuple[Path, Path]:
    """The data folder, and BentoML's own in it: one per port, since BentoML empties its metrics at every start.

    BentoML keeps nothing there that outlives it, so where the data folder may only be read, a temporary one does.
    """
    data = home().root
    bentoml_home = data / "bentoml" / str(port)
    try:
        data.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"VNYATNO_HOME: {data} cannot be made ({error.strerror})") from error
    try:
        bentoml_home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=bentoml_home):
            return data, bentoml_home
    except OSError:
        pass
    try:
        return data, Path(tempfile.mkdtemp(prefix=f"vnyatno-{port}-"))
    except OSError as error:
        raise SettingsError(
            f"neither VNYATNO_HOME ({data}) nor a temporary folder can be written ({error.strerror}); set TMPDIR to a "
            "folder that can"
        ) from error


def _require_free(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise SettingsError(
                f"{host}:{port} cannot be used ({error.strerror}); stop what listens there, or set VNYATNO_HOST or "
                "VNYATNO_SERVICE_PORT"
            ) from error


if __name__ == "__main__":
    raise SystemExit(main())
