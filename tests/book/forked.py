"""Kernels forked from a server that has imported torch, scipy and matplotlib, and nothing of this package.

A kernel takes four seconds of a core for these imports, most of what a small page costs.
The server imports them once and forks a process for each kernel: as fresh as one that was started, of which
no other can see anything.  What the package holds is imported by the kernel itself.
"""

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import traceback

# The slow ones of what pages import.  Not pyplot: it ties itself to the shell that imports it.
PRELOADED = [
    "ipykernel.kernelapp",
    "ipykernel.ipkernel",
    "matplotlib.backends.backend_agg",
    "matplotlib.figure",
    "mpmath",
    "pandas",
    "scipy.integrate",
    "scipy.optimize",
    "scipy.stats",
    "torch",
]
# No threads, which a fork would lose.
SINGLE = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
INLINE = {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}  # what every kernel sets


class Server:
    """A process that imports modules and then forks kernels; a question is one line of its standard input."""

    def __init__(self, modules=PRELOADED):
        self.process = subprocess.Popen(
            [sys.executable, "-P", __file__, *modules],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | SINGLE | INLINE,
        )

    def ask(self, **question):
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def launch(self, command, env=None, cwd=None, **_):
        """Stand in for `jupyter_client.launcher.launch_kernel`."""
        assert command[1:3] == ["-m", "ipykernel_launcher"]
        folder = os.fspath(cwd or os.getcwd())
        return Kernel(self, self.ask(arguments=command[3:], environment=env, folder=folder))

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Kernel:
    """A forked process with what a manager of kernels uses of `subprocess.Popen`."""

    stdin = stdout = stderr = None

    def __init__(self, server, pid):
        self.server, self.pid, self.returncode = server, pid, None

    def poll(self):
        if self.returncode is None:
            self.returncode = self.server.ask(poll=self.pid)
        return self.returncode

    def wait(self):  # is called on kernels that have ended
        assert self.poll() is not None
        return self.returncode

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)

    def terminate(self):
        self.send_signal(signal.SIGTERM)


def serve(modules):
    """Fork kernels until nobody can ask any more, then end those that are left."""
    for name in modules:
        importlib.import_module(name)
    running, server = set(), os.getpid()
    # Without a buffer, of which each child would have a copy, and not where a child would print.
    questions, answers = (os.fdopen(os.dup(n), mode, buffering=0) for n, mode in ((0, "rb"), (1, "wb")))
    os.dup2(2, 1)
    for line in questions:
        question = json.loads(line)
        if "poll" in question:
            pid, status = os.waitpid(question["poll"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else None
            running.discard(pid)
        else:
            ready, led = os.pipe()
            answer = os.fork()
            if not answer:
                questions.close()
                answers.close()
                become(server, led, **question)
            os.close(led)
            os.read(ready, 1)  # it leads its group, whose number the manager asks for next
            os.close(ready)
            running.add(answer)
        answers.write(json.dumps(answer).encode() + b"\n")
    for pid in running:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)


def become(server, led, arguments, environment, folder):
    """Be the kernel with these arguments, in a group of its own, and end with it."""
    status = 1
    try:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.close(led)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        import numpy as np
        from ipykernel.kernelapp import launch_new_instance

        np.random.seed()  # noqa: NPY002 - the one generator that all forks would share
        # Ends when the server does; from the environment, as usual, it would be read in the server.
        sys.argv = ["ipykernel_launcher", *arguments, f"--IPKernelApp.parent_handle={server}"]
        launch_new_instance()
        status = 0
    except SystemExit as end:
        status = int(bool(end.code))
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


if __name__ == "__main__":
    serve(sys.argv[1:])
