"""The benchmark of accelerators, as far as it needs none: the plan, the time, the notes and the
tables.
"""

import json
import os
import pathlib
import subprocess
import sys

import pytest

BENCHMARKS = pathlib.Path(__file__).parents[2] / "benchmarks"
TIMES = {"median_seconds": 0.02, "first_step_seconds": 3.0, "step_seconds": [0.02, 0.02, 0.03]}


@pytest.fixture(autouse=True)
def _benchmarks_can_be_imported(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def loss_record(implementation="ours_jax", rows=1024, precision="float32", **values):
    return {
        "framework": "jax",
        "implementation": implementation,
        "rows": rows,
        "precision": precision,
        **values,
    }


def results_of(**sections):
    return {
        "is_trial": False,
        "device": {
            "name": "NVIDIA H100 80GB HBM3",
            "memory_gb": 85.0,
            "driver": "570.1",
            "frameworks": {
                "jax": {"runtime": "cuda 12080", "versions": {"jax": "0.10.2"}},
                "torch": {"note": "no torch"},
            },
        },
        "machine": {"cores": 16, "cpu": "some processor"},
        "sections": {
            name: {"date": "2026-01-02T03:04:05+00:00", "measurements": records}
            for name, records in sections.items()
        },
    }


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        ("NVIDIA H100 80GB HBM3", "nvidia-h100-80gb-hbm3"),
        ("NVIDIA A100-SXM4-40GB", "nvidia-a100-sxm4-40gb"),
        ("NVIDIA GeForce RTX 4090", "nvidia-geforce-rtx-4090"),
        ("TPU v5 lite", "tpu-v5-lite"),
        ("CPU", "cpu"),
    ],
)
def test_the_name_of_a_device_as_a_file(device, expected):
    from accelerator_tables import slug

    assert slug(device) == expected


def test_what_a_peer_will_need_grows_with_the_square_of_the_rows():
    from loss_implementations import BYTES_PER_PAIR, expected_gigabytes

    assert expected_gigabytes(65536, {1024: 9.0, 4096: 0.5}) == 0.5 * 16**2
    assert (
        expected_gigabytes(65536, {1024: 9.0}) == BYTES_PER_PAIR * 65536**2 / 1e9
    )  # few rows say nothing


@pytest.mark.parametrize(
    ("rows", "implementation", "earlier", "free", "seconds", "expected"),
    [
        (1024, "supcontrast_formula", [], 80.0, 60.0, ""),
        (65536, "supcontrast_formula", [], 80.0, 60.0, "not run: about 215 GB"),
        (65536, "supcontrast_formula", [], None, 60.0, ""),
        (
            65536,
            "supcontrast_formula",
            [(16384, {**TIMES, "extra_memory_mb": 8000})],
            80.0,
            60.0,
            "not run: about 128 GB",
        ),
        (
            65536,
            "supcontrast_formula",
            [(16384, {**TIMES, "extra_memory_mb": 4000})],
            80.0,
            60.0,
            "",
        ),
        (
            65536,
            "ours_jax",
            [(16384, {**TIMES, "extra_memory_mb": 8000})],
            80.0,
            60.0,
            "",
        ),  # its memory is linear
        (
            65536,
            "ours_jax",
            [(16384, {"note": "out of memory"})],
            80.0,
            60.0,
            "not run: less did not fit into the memory",
        ),
        (4096, "ours_jax", [(16384, {"note": "out of memory"})], 80.0, 60.0, ""),
        (65536, "ours_jax", [(16384, TIMES)], 80.0, 0.5, "not run: out of time"),  # 3 x 16 x 0.02 s
        (65536, "ours_jax", [(16384, TIMES)], 80.0, 1.0, ""),
        (1024, "ours_jax", [], 80.0, 0.0, "not run: out of time"),
    ],
)
def test_what_does_not_fit_is_not_run(rows, implementation, earlier, free, seconds, expected):
    from accelerator_workers import reason_not_to_run

    records = [loss_record(implementation, number, **values) for number, values in earlier]
    assert reason_not_to_run(loss_record(implementation, rows), records, free, seconds) == expected


@pytest.mark.parametrize(
    ("micro_batch_size", "expected"), [(None, "not run: about 160 GB"), (512, "")]
)
def test_the_plain_step_grows_with_its_batch(micro_batch_size, expected):
    from accelerator_workers import reason_not_to_run

    item = {"batch_size": 16384, "micro_batch_size": micro_batch_size}
    earlier = [{**item, "batch_size": 1024, **TIMES, "extra_memory_mb": 10000}]
    assert reason_not_to_run(item, earlier, 80.0, 60.0) == expected


@pytest.mark.parametrize("size", ["full", "tiny"])
@pytest.mark.parametrize("platform", ["cpu", "gpu"])
def test_every_measurement_of_the_plan_has_a_name_of_its_own(size, platform):
    from accelerator_plan import SECTIONS, SIZES, jobs_of

    for section in SECTIONS:
        jobs = jobs_of(section, SIZES[size], platform)
        names = [
            json.dumps([job.framework, item], sort_keys=True)
            for job in jobs
            for item in job.measurements
        ]
        assert len(set(names)) == len(names) > 0
    precisions = {
        item["precision"]
        for job in jobs_of("loss", SIZES[size], platform)
        for item in job.measurements
    }
    assert precisions == ({"float32"} if platform == "cpu" else {"float32", "tf32"})


def test_a_section_leaves_its_time_to_those_after_it():
    from accelerator_plan import SECTIONS, Budget, Job

    now = [100.0]
    budget = Budget(480.0, ["loss", "training_step"], clock=lambda: now[0])
    share = SECTIONS["loss"] / (SECTIONS["loss"] + SECTIONS["training_step"])
    first, second = Job("loss", "jax", [], weight=3), Job("loss", "torch", [], weight=1)
    assert budget.left() == 480
    assert budget.for_job(first, [second]) == pytest.approx(480 * share * 0.75)
    now[0] += 20
    assert budget.for_job(second, []) == pytest.approx(480 * share - 20)
    assert budget.for_job(Job("training_step", "jax", [], weight=1), []) == pytest.approx(460)
    now[0] += 1000
    assert budget.left() == budget.for_job(second, []) == 0


def test_steps_are_repeated_until_they_are_enough():
    from harness import time_steps

    results = iter(range(100))
    times, result = time_steps(lambda: next(results), repeats=5, seconds=60)
    assert (len(times), result) == (5, 4)
    times, result = time_steps(lambda: next(results), repeats=5, seconds=0)
    assert (len(times), result) == (2, 6)


def test_a_process_keeps_what_it_said_before_it_failed_or_ran_out_of_time(monkeypatch, tmp_path):
    import harness

    monkeypatch.setattr(harness, "HERE", tmp_path)
    said = 'import sys, time\nprint("a warning", flush=True)\nprint(\'{"rows": 1}\', flush=True)\n'
    (tmp_path / "fails.py").write_text(said + 'sys.exit("no room")')
    (tmp_path / "hangs.py").write_text(said + 'print(\'{"ro\', end="", flush=True)\ntime.sleep(60)')
    (tmp_path / "ends.py").write_text(said)

    def records(program, timeout=None):
        return list(harness.worker_records(sys.executable, program, "jax", {}, {}, timeout))

    assert records("fails.py") == [{"rows": 1}, {"note": "failed (1): no room"}]
    assert records("hangs.py", timeout=0.5) == [{"rows": 1}, {"note": harness.OUT_OF_TIME}]
    assert records("ends.py", timeout=60) == [{"rows": 1}]
    assert harness.run_worker(sys.executable, "ends.py", "jax", {}) == {"rows": 1}


def test_no_room_is_told_from_other_failures():
    from accelerator_devices import is_out_of_memory

    assert is_out_of_memory(
        RuntimeError(
            "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 17179869184 bytes."
        )
    )
    assert is_out_of_memory(RuntimeError("CUDA out of memory. Tried to allocate 16.00 GiB."))
    assert is_out_of_memory(MemoryError())
    assert not is_out_of_memory(ValueError("shapes do not match"))


def test_an_implementation_that_computes_something_else_is_named():
    from accelerator_tables import disagreements, format_agreement

    ours = loss_record(loss=6.9, gradient_norm=0.5, **TIMES)
    same = loss_record("plain_jax", loss=6.9 * (1 + 1e-6), gradient_norm=0.5 * (1 - 2e-5), **TIMES)
    other = loss_record("supcontrast_formula", loss=7.9, gradient_norm=float("nan"), **TIMES)
    assert disagreements([ours, same]) == []
    assert "the same loss to 1e-06 and the same norm of the gradient to 2e-05" in format_agreement(
        [ours, same]
    )
    assert [sentence.split(": ")[1] for sentence in disagreements([ours, same, other])] == [
        "the loss is off by 1.4e-01",
        "the gradient norm is off by nan",
    ]
    assert disagreements([ours, {**other, "precision": "tf32"}]) == []  # which rounds


def test_the_table_of_the_loss_has_ratios_and_notes():
    from accelerator_tables import format_loss

    table = format_loss(
        [
            loss_record(rows=1024, loss=6.9, gradient_norm=0.5, extra_memory_mb=12.4, **TIMES),
            loss_record(
                rows=65536,
                loss=6.9,
                gradient_norm=0.5,
                extra_memory_mb=400,
                **{**TIMES, "median_seconds": 1.5},
            ),
            loss_record(
                "plain_jax", 1024, loss=6.9, gradient_norm=0.5, **{**TIMES, "median_seconds": 0.05}
            ),
            loss_record("plain_jax", 65536, note="not run: about 134 GB"),
            loss_record(
                rows=1024,
                precision="tf32",
                extra_memory_mb=400,
                extra_memory_is_bound=True,
                **TIMES,
            ),
        ]
    )
    lines = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in table.splitlines()
        if line.startswith("|")
    ]
    assert ["implementation", "1,024", "65,536"] in lines
    assert ["keras_supcon on JAX", "20.0 ms", "1.50 s"] in lines
    assert ["plain JAX", "50.0 ms (2.5x)", "not run: about 134 GB"] in lines
    assert ["keras_supcon on JAX", "12 MB", "400 MB"] in lines
    assert "TF32" in table


def test_the_shares_of_a_training_step():
    from accelerator_tables import format_training_step

    def record(framework, part, seconds, dtype="bfloat16"):
        names = {
            "encoder": "ResNet-50",
            "batch_size": 128,
            "framework": framework,
            "part": part,
            "dtype": dtype,
        }
        return {**names, **TIMES, "median_seconds": seconds}

    records = [
        record("jax", "loss", 0.002, "float32"),
        record("jax", "step", 0.1),
        record("jax", "step on given views", 0.09),
        record("torch", "step on given views", 0.18),
        {
            "encoder": "ResNet-50",
            "batch_size": 128,
            "framework": "jax",
            "part": "step",
            "dtype": "float32",
            "note": "no",
        },
    ]
    *_, bfloat16, float32 = format_training_step(records).splitlines()
    assert [cell.strip() for cell in bfloat16.split("|")[3:-1]] == [
        "128",
        "1,280",
        "1,422",
        "711",
        "2.00",
        "10.0%",
        "2.0%",
    ]
    assert [cell.strip() for cell in float32.split("|")[3:-1]] == ["128", "no", "", "", "", "", ""]


def test_the_document_holds_the_tables_of_all_devices_but_trials(tmp_path):
    from accelerator_tables import BEGIN, END, NOTHING_MEASURED, write_document

    document = tmp_path / "benchmarks.md"
    document.write_text(f"# Before\n\n{BEGIN}\nof yesterday\n{END}\n\nAfter.\n")
    write_document(document, tmp_path)
    assert document.read_text() == f"# Before\n\n{BEGIN}\n\n{NOTHING_MEASURED}\n\n{END}\n\nAfter.\n"

    augmentation = {
        "recipe": "simaugment",
        "input_size": 32,
        "image_size": 32,
        "batch_size": 1024,
        "framework": "jax",
    }
    caching = {
        "encoder": "ResNet-18",
        "batch_size": 1024,
        "framework": "jax",
        "extra_memory_mb": 900.0,
    }
    results = results_of(
        loss=[loss_record(loss=6.9, gradient_norm=0.5, **TIMES)],
        augmentation=[
            {**augmentation, **TIMES},
            {**augmentation, "framework": "torch", "note": "not run: no torch"},
        ],
        gradient_caching=[
            {**caching, **TIMES, "micro_batch_size": 512, "median_seconds": 0.03},
            {**caching, **TIMES, "micro_batch_size": None},
        ],
    )
    (tmp_path / "nvidia-h100.json").write_text(json.dumps(results))
    (tmp_path / "cpu.json").write_text(json.dumps({**results, "is_trial": True}))
    write_document(document, tmp_path)
    text = document.read_text()
    assert text.startswith("# Before")
    assert text.endswith("After.\n")
    assert "of yesterday" not in text
    assert text.count("## NVIDIA H100 80GB HBM3") == 1
    assert (
        "Measured 2026-01-02. jax: cuda 12080; torch: no torch; driver 570.1; 85 GB; jax 0.10.2; "
        "16 cores" in text
    )
    assert "| SimCLR without blur | 51,200" in text
    assert "| 1.50" in text  # micro-batches beside plain
    write_document(document, tmp_path)
    assert document.read_text() == text

    document.write_text("no markers")
    with pytest.raises(ValueError, match="should hold each of the two markers once"):
        write_document(document, tmp_path)


def test_the_document_of_this_package_has_the_markers():
    from accelerator_tables import BEGIN, END

    text = (BENCHMARKS.parent / "docs" / "benchmarks.md").read_text()
    assert text.index(BEGIN) < text.index(END)


@pytest.mark.slow
def test_the_program_in_six_seconds(tmp_path):
    """Whatever the environment lacks and the time does not allow, every measurement of the plan has
    its line.
    """
    from accelerator_plan import SECTIONS, SIZES, jobs_of
    from harness import CPU_ENVIRONMENT

    command = [
        sys.executable,
        str(BENCHMARKS / "accelerator.py"),
        "--minutes=0.1",
        "--size=tiny",
        f"--output_dir={tmp_path}",
    ]
    finished = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, **CPU_ENVIRONMENT}
    )
    assert finished.returncode == 0, finished.stderr
    results = json.loads((tmp_path / "cpu.json").read_text())
    assert results["is_trial"]
    for section in SECTIONS:
        planned = [
            item for job in jobs_of(section, SIZES["tiny"], "cpu") for item in job.measurements
        ]
        records = results["sections"][section]["measurements"]
        assert [
            {name: record[name] for name in item}
            for record, item in zip(records, planned, strict=True)
        ] == planned
        assert all("note" in record or "median_seconds" in record for record in records)
