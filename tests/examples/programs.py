"""Starts the examples, each in a process of its own that has the imports already."""

import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]
SECONDS = 300

# Imports what takes longer than the small trainings once, and forks a process for each start of a
# program. No operation runs before the fork, so that each process starts TensorFlow for itself. The
# million objects of the imports are frozen: a collection in a child, such as that at its end, would
# copy the memory of all of them.
_SERVER = f"""
import gc, json, os, runpy, signal, sys
import keras, tensorflow, tensorflow_datasets, matplotlib.pyplot, sklearn.manifold, keras_supcon
gc.collect()
gc.freeze()
print("ready", flush=True)
for line in sys.stdin:
    command = json.loads(line)
    if "wait" in command:
        print(os.waitstatus_to_exitcode(os.waitpid(command["wait"], 0)[1]), flush=True)
        continue
    pid = os.fork()
    if pid == 0:
        signal.alarm({SECONDS})
        os.environ.update(command["environment"])
        os.chdir(command["cwd"])
        for number, path in zip((1, 2), command["logs"]):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        sys.argv, sys.path[0] = command["arguments"], os.path.dirname(command["arguments"][0])
        runpy.run_path(sys.argv[0], run_name="__main__")
        sys.exit()
    print(pid, flush=True)
"""


class Programs:
    """Starts programs of `examples/`, several at the same time if need be."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder, self.logs = folder, {}
        # One thread: the sums of several depend on how the machine shares them out.
        environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "TF_NUM_INTRAOP_THREADS": "1"}
        self.server = subprocess.Popen(
            [sys.executable, "-c", _SERVER],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.server.stdout.readline() == "ready\n"

    def start(self, program: str, *flags: str, cwd: str = str(ROOT), **environment: str) -> int:
        """Returns the process id of a program that was started with these flags in the folder
        `cwd`.
        """
        logs = [str(self.folder / f"{len(self.logs)}.{stream}") for stream in ("out", "err")]
        arguments = [str(ROOT / "examples" / program), *flags]
        pid = self._ask(
            {"arguments": arguments, "environment": environment, "cwd": cwd, "logs": logs}
        )
        self.logs[pid] = logs
        return pid

    def wait(self, pid: int) -> tuple[int, str, str]:
        """Returns exit code, standard output and standard error of a program, when it has ended."""
        return self._ask({"wait": pid}), *(pathlib.Path(log).read_text() for log in self.logs[pid])

    def run(
        self, program: str, *flags: str, cwd: str = str(ROOT), **environment: str
    ) -> tuple[int, str, str]:
        return self.wait(self.start(program, *flags, cwd=cwd, **environment))

    def close(self) -> None:
        self.server.stdin.close()
        self.server.wait(timeout=60)

    def _ask(self, command: dict) -> int:
        self.server.stdin.write(json.dumps(command) + "\n")
        self.server.stdin.flush()
        return int(self.server.stdout.readline())
