# make demo     train, freeze, classify, save and picture the digits
# make test     everything that CI runs
# make check    the fast part of it, for daily use

PYTHON ?= python3
VENV ?= .venv
# Keras on JAX and on PyTorch, without TensorFlow.
NEUTRAL_VENV ?= .venv-neutral
# The newest TensorFlow that has a build for TPUs, here its CPU build.
TPU_TENSORFLOW_VENV ?= .venv-tensorflow-2.20
# The packages that the losses are compared with.
TFA_VENV ?= .venv-tensorflow-addons
PML_VENV ?= .venv-pytorch-metric-learning
# The packages that the augmentations are compared with.
AUGMENTATION_VENV ?= .venv-augmentation-peers
# The last Python for which TensorFlow Addons has a TensorFlow.
PYTHON_3_11 ?= $(shell command -v python3.11 || echo $(PYTHON))
# On a machine without a GPU the CPU build of TensorFlow saves a large download.
TENSORFLOW ?= $(shell command -v nvidia-smi > /dev/null 2>&1 && echo cuda || echo tensorflow-cpu)
# Debian's copy of Fashion-MNIST, unpacked here. Where there is no Debian its tests are skipped.
FASHION_MNIST := build/dataset-fashion-mnist/usr/share/datasets/fashion-mnist

export TF_CPP_MIN_LOG_LEVEL ?= 2
PIP := -m pip install --quiet --disable-pip-version-check

.PHONY: demo test check lint doctest test-tensorflow test-programs test-neutral test-jax test-torch test-tpu-tensorflow test-parity \
	benchmark-loss benchmark-augmentation benchmark-gradient-caching fashion-mnist bazel clean

demo: $(VENV)/demo-installed
	$(VENV)/bin/python examples/quickstart.py

# The backends at the same time: much of a test run is tracing on one core.
test: lint
	$(MAKE) --no-print-directory --jobs=2 --output-sync=target test-tensorflow test-neutral test-programs test-tpu-tensorflow \
		test-parity doctest

check: lint
	$(VENV)/bin/python -m pytest -q -m "not slow"

lint: $(VENV)/dev-installed
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/lint-imports

doctest: $(VENV)/dev-installed
	$(VENV)/bin/python -m pytest -q --doctest-modules keras_supcon

# Whose tests start programs of their own.
PROGRAMS := tests/callbacks tests/distributed tests/examples

test-tensorflow: $(VENV)/dev-installed
	$(MAKE) --no-print-directory $(FASHION_MNIST) || echo "No Debian package dataset-fashion-mnist: its tests are skipped."
	FASHION_MNIST=$(FASHION_MNIST) $(VENV)/bin/python -m pytest -q $(addprefix --ignore=,$(PROGRAMS))

test-programs: $(VENV)/dev-installed
	$(VENV)/bin/python -m pytest -q $(PROGRAMS)

test-neutral: test-jax test-torch

test-jax: $(NEUTRAL_VENV)/installed
	KERAS_BACKEND=jax $(NEUTRAL_VENV)/bin/python -m pytest -q -m neutral

test-torch: $(NEUTRAL_VENV)/installed
	KERAS_BACKEND=torch $(NEUTRAL_VENV)/bin/python -m pytest -q -m neutral

# The fast tests and the steps of a TPU; PYTEST_MARKS= runs all.
PYTEST_MARKS ?= not slow
test-tpu-tensorflow: $(TPU_TENSORFLOW_VENV)/installed
	$(TPU_TENSORFLOW_VENV)/bin/python -m pytest -q -m "$(PYTEST_MARKS)"
	$(TPU_TENSORFLOW_VENV)/bin/python -m pytest -q tests/models/test_for_xla.py

test-parity: $(VENV)/dev-installed $(TFA_VENV)/installed $(PML_VENV)/installed
	TFA_PYTHON=$(TFA_VENV)/bin/python PML_PYTHON=$(PML_VENV)/bin/python $(VENV)/bin/python -m pytest -q tests/parity

benchmark-loss: $(VENV)/demo-installed $(NEUTRAL_VENV)/installed $(PML_VENV)/installed
	$(VENV)/bin/python benchmarks/loss.py --neutral_python=$(NEUTRAL_VENV)/bin/python \
		--pytorch_metric_learning_python=$(PML_VENV)/bin/python

benchmark-augmentation: $(VENV)/demo-installed $(NEUTRAL_VENV)/installed $(AUGMENTATION_VENV)/installed
	$(VENV)/bin/python benchmarks/augmentation.py --neutral_python=$(NEUTRAL_VENV)/bin/python \
		--peers_python=$(AUGMENTATION_VENV)/bin/python

benchmark-gradient-caching: $(VENV)/demo-installed
	$(VENV)/bin/python benchmarks/gradient_caching.py

fashion-mnist: build/tfds/fashion_mnist

build/tfds/fashion_mnist: $(FASHION_MNIST) | $(VENV)/demo-installed
	$(VENV)/bin/python tools/prepare_fashion_mnist.py --source_dir=$(FASHION_MNIST) --data_dir=build/tfds

$(FASHION_MNIST):
	mkdir -p build
	rm -rf build/dataset-fashion-mnist*
	cd build && (apt-get download dataset-fashion-mnist || (apt-get update && apt-get download dataset-fashion-mnist))
	dpkg-deb --extract build/dataset-fashion-mnist_*.deb build/dataset-fashion-mnist.unfinished
	mv build/dataset-fashion-mnist.unfinished build/dataset-fashion-mnist

bazel:
	bazel query //... && bazel build //...

$(VENV)/demo-installed: setup.py
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python $(PIP) --editable '.[$(TENSORFLOW),report]'
	touch $@

$(VENV)/dev-installed: $(VENV)/demo-installed
	$(VENV)/bin/python $(PIP) --editable '.[$(TENSORFLOW),report,dev]'
	touch $@

# torch 2.13.0 by its exact name: a machine may hold a CPU build of just that.
$(NEUTRAL_VENV)/installed: setup.py
	test -x $(NEUTRAL_VENV)/bin/python || $(PYTHON) -m venv $(NEUTRAL_VENV)
	$(NEUTRAL_VENV)/bin/python $(PIP) torch==2.13.0
	$(NEUTRAL_VENV)/bin/python $(PIP) --editable '.[jax,torch,report,dev]'
	touch $@

$(TPU_TENSORFLOW_VENV)/installed: setup.py
	test -x $(TPU_TENSORFLOW_VENV)/bin/python || $(PYTHON) -m venv $(TPU_TENSORFLOW_VENV)
	$(TPU_TENSORFLOW_VENV)/bin/python $(PIP) --editable '.[tensorflow-cpu,report,dev]' tensorflow-cpu==2.20.0
	touch $@

$(TFA_VENV)/installed: Makefile
	test -x $(TFA_VENV)/bin/python || $(PYTHON_3_11) -m venv $(TFA_VENV)
	$(TFA_VENV)/bin/python $(PIP) tensorflow-cpu==2.14.1 tensorflow-addons==0.23.0
	touch $@

$(PML_VENV)/installed: Makefile
	test -x $(PML_VENV)/bin/python || $(PYTHON) -m venv $(PML_VENV)
	$(PML_VENV)/bin/python $(PIP) torch==2.13.0 pytorch-metric-learning==2.9.0
	touch $@

$(AUGMENTATION_VENV)/installed: Makefile
	test -x $(AUGMENTATION_VENV)/bin/python || $(PYTHON) -m venv $(AUGMENTATION_VENV)
	$(AUGMENTATION_VENV)/bin/python $(PIP) torch==2.13.0 kornia==0.9.0 albumentations==2.0.8
	touch $@

clean:
	rm -rf build $(VENV) $(NEUTRAL_VENV) $(TPU_TENSORFLOW_VENV) $(TFA_VENV) $(PML_VENV) $(AUGMENTATION_VENV)
