"""Programs in processes forked from one that has imported what takes each of them seconds."""

import json
import multiprocessing
import os
import subprocess
import sys


def started(program, loaded):
    """A process that runs the text of a program, forked from one with the modules loaded.

    All of a test process come from one server: the first call says what that loads.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(loaded))
    process = context.Process(target=exec, args=(program, {"__name__": "__main__"}))
    process.start()
    return process


SERVER = """\
import importlib, json, os, runpy, sys

for name in sys.argv[1:]:
    importlib.import_module(name)
for line in sys.stdin:
    module, words, path, environment = json.loads(line)
    child = os.fork()
    if child == 0:
        output = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.environ.clear()
        os.environ.update(environment)
        sys.argv = [module, *words]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        sys.exit()
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Server:
    """A process in a folder, with modules loaded, and `python -m` in copies of it, one at a time.

    What it has loaded it keeps: of modules that a test changes, load none.
    """

    def __init__(self, folder, modules, environment):
        self.environment = environment
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVER, *modules],
            cwd=folder,
            env=os.environ | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, module, words, output):
        """The exit code of a module with words on its command line; what it says goes to a file."""
        environment = {**os.environ, **self.environment}  # as it is now
        self.process.stdin.write(json.dumps([module, words, str(output), environment]) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def close(self):
        """End it, once what it runs is over."""
        self.process.communicate()
