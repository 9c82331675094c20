"""What SECURITY.md promises of the code and of the files that ship: no pickle, no foreign code, no shell."""

import ast
import gzip
import struct
import subprocess

import pytest

from .test_randomness import ROOT, SOURCES

PICKLES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
"""Modules whose files run code when they are read."""
RUNS = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "torch.load", "torch.jit.load"}
SHIPPED = {".csv", ".gz", ".json", ".md", ".png", ".safetensors", ""}


def faults(source: str) -> list[str]:
    """Imports and calls that could run what a file or a caption says."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
            found += [
                f"line {node.lineno}: imports {name}" for name in names if name.split(".")[0] in PICKLES
            ]
        elif isinstance(node, ast.Call):
            words = {word.arg: ast.unparse(word.value) for word in node.keywords}
            name = ast.unparse(node.func)
            runs = name in RUNS or words.get("shell") == "True" or words.get("allow_pickle") == "True"
            remote = words.get("trust_remote_code", "False") != "False"
            loads = name == "yaml.load" and "Safe" not in words.get("Loader", "")
            if runs or remote or loads:
                found.append(f"line {node.lineno}: {ast.unparse(node)[:80]}")
    return found


def test_the_code_reads_no_pickle_and_runs_nothing_from_outside():
    found = {str(path.relative_to(ROOT)): faults(path.read_text(encoding="utf-8")) for path in SOURCES}
    assert {path: lines for path, lines in found.items() if lines} == {}
    assert len(found) > 200


@pytest.mark.parametrize(
    ("source", "faulty"),
    [
        ("import pickle", True),
        ("from joblib import load", True),
        ("torch.load(path)", True),
        ("np.load(path, allow_pickle=True)", True),
        ("np.load(path, allow_pickle=False)", False),
        ("subprocess.run(command, shell=True)", True),
        ("subprocess.run([program, name])", False),
        ("yaml.load(text, Loader=yaml.Loader)", True),
        ("yaml.safe_load(text)", False),
        ("AutoModel.from_pretrained(folder, trust_remote_code=True)", True),
        ("AutoModel.from_pretrained(folder, trust_remote_code=False)", False),
        ("eval(text)", True),
        ("network.eval()", False),
        ("re.compile(pattern)", False),
    ],
)
def test_what_counts(source, faulty):
    assert bool(faults(source)) is faulty


def shipped():
    listed = subprocess.run(
        ["git", "ls-files", "data", "recorded", "benchmarks/results", "book"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [ROOT / line for line in listed.stdout.splitlines()]


def test_no_file_of_data_is_a_pickle_or_an_archive():
    files = [path for path in shipped() if path.parts[len(ROOT.parts)] != "book"]
    assert len(files) > 100
    for path in files:
        name = path.name
        assert path.suffix in SHIPPED, f"{name} ends in {path.suffix}, which is not among {sorted(SHIPPED)}"
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            head = file.read(8)
        assert not head.startswith((b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")), name
        if path.suffix == ".safetensors":
            size = struct.unpack("<Q", head)[0]
            assert size < path.stat().st_size, f"{name} has no header of safetensors"


def test_pages_run_no_script_from_elsewhere():
    for path in shipped():
        if path.suffix in {".js", ".css", ".html", ".md"}:
            text = path.read_text(encoding="utf-8")
            for foreign in ('src="http', "src='http", "@import url(http", "importScripts(", 'import("http'):
                assert foreign not in text, f"{path.name} loads {foreign}..."
