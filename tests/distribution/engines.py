"""Runs a program of the tests in processes of its own, one for each worker."""

import json
import os
import pathlib
import socket
import subprocess
import sys

import keras

ROOT = pathlib.Path(__file__).parent.parent.parent
SECONDS = 900


def run_program(
    module: str, arguments: list[str], environments: list[dict[str, str]], log_dir: pathlib.Path
) -> None:
    """Runs `python -m module` in each environment at the same time; raises if one fails or takes
    too long.
    """
    logs = [log_dir / f"worker-{number}.log" for number in range(len(environments))]
    processes = []
    for environment, log in zip(environments, logs, strict=True):
        with log.open("w") as output:
            processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", module, *arguments],
                    cwd=ROOT,
                    env={**os.environ, "KERAS_BACKEND": keras.backend.backend(), **environment},
                    stdout=output,
                    stderr=subprocess.STDOUT,
                )
            )
    try:
        codes = [process.wait(timeout=SECONDS) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert codes == [0] * len(codes), "\n".join(log.read_text()[-3000:] for log in logs)


def worker_environments(count: int) -> list[dict[str, str]]:
    """`TF_CONFIG` for workers on this machine."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    addresses = [f"127.0.0.1:{taken.getsockname()[1]}" for taken in sockets]
    for taken in sockets:
        taken.close()
    return [
        {
            "TF_CONFIG": json.dumps(
                {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
            )
        }
        for index in range(count)
    ]
