"""The devices of JAX and torch: name, memory, and precision of products.

JAX and torch are imported within functions, because a worker has only one of them in its process.
"""

import gc
from typing import Any

from harness import available_gigabytes, forget_peak_memory, memory_bytes, versions

PACKAGES = {
    "jax": ("keras", "numpy", "jax", "jaxlib", "jax-cuda12-plugin", "jax-cuda13-plugin"),
    "torch": ("keras", "numpy", "torch", "triton", "pytorch-metric-learning"),
}
# The settings of each precision of float32 products in matrices and convolutions. "tf32" rounds
# their factors to 10 bits on devices that have units for it.
PRECISIONS = {
    "float32": (
        'jax_default_matmul_precision="highest"; '
        'torch.set_float32_matmul_precision("highest"), no TF32 in cuDNN'
    ),
    "tf32": (
        "what JAX does unless told otherwise; "
        'torch.set_float32_matmul_precision("high"), TF32 in cuDNN'
    ),
}


def describe(framework: str) -> dict[str, Any]:
    """Returns the device that a framework computes on.

    It holds the platform (`"cpu"`, `"gpu"`, ...), the name and the memory.
    """
    if framework == "jax":
        import jax

        device, number = jax.local_devices()[0], len(jax.local_devices())
        memory = (device.memory_stats() or {}).get("bytes_limit")
        platform = (
            "gpu" if device.platform in ("cuda", "rocm") else device.platform
        )  # JAX has called GPUs all three
        facts = {
            "platform": platform,
            "name": device.device_kind,
            "runtime": device.client.platform_version,
        }
    else:
        import torch

        number, memory = torch.cuda.device_count(), None
        facts = {"platform": "cpu", "name": "cpu", "runtime": f"torch {torch.__version__}"}
        if torch.cuda.is_available():
            properties = torch.cuda.get_device_properties(0)
            memory = properties.total_memory
            cuda = torch.version.cuda or torch.version.hip
            runtime = f"CUDA {cuda}, cuDNN {torch.backends.cudnn.version()}"
            facts = {"platform": "gpu", "name": properties.name, "runtime": runtime}
    facts["runtime"] = " ".join(facts["runtime"].split())
    if memory is not None:
        facts["memory_gb"] = round(memory / 1e9, 1)
    return {**facts, "devices": number, "versions": versions(PACKAGES[framework])}


def set_precision(framework: str, precision: str) -> None:
    """Sets the precision of float32 products, one of `PRECISIONS`, for later traces."""
    if framework == "jax":
        import jax

        jax.config.update(
            "jax_default_matmul_precision", {"float32": "highest", "tf32": None}[precision]
        )
    else:
        import torch

        torch.set_float32_matmul_precision({"float32": "highest", "tf32": "high"}[precision])
        torch.backends.cudnn.allow_tf32 = precision == "tf32"


def is_out_of_memory(error: Exception) -> bool:
    """Returns whether an error says that the device had no room.

    JAX says `RESOURCE_EXHAUSTED`, torch has an error of its own.
    """
    message = str(error)
    return (
        isinstance(error, MemoryError)
        or "RESOURCE_EXHAUSTED" in message
        or "out of memory" in message.lower()
    )


class HostMemory:
    """Measures the peak of the memory of this process, for the CPU."""

    def start(self) -> None:
        """Takes the present memory as the base."""
        gc.collect()
        forget_peak_memory()
        self.base = memory_bytes("VmRSS")

    def extra(self) -> dict[str, Any]:
        """Returns the peak since `start` over the base, as entries of a record."""
        return {"extra_memory_mb": max(memory_bytes("VmHWM") - self.base, 0) / 1e6}

    def free_gigabytes(self) -> float | None:
        return available_gigabytes()


class JaxMemory:
    """Measures the peak of JAX's allocator, which counts from the start of the process.

    A smaller measurement after a larger one does not change it; the peak is then a bound.
    """

    def __init__(self) -> None:
        import jax

        self.device = jax.local_devices()[0]

    def start(self) -> None:
        gc.collect()
        stats = self.device.memory_stats() or {}
        self.base, self.earlier_peak = stats.get("bytes_in_use"), stats.get("peak_bytes_in_use")

    def extra(self) -> dict[str, Any]:
        peak = (self.device.memory_stats() or {}).get("peak_bytes_in_use")
        if peak is None or self.base is None:  # not every platform and allocator counts
            return {}
        return {
            "extra_memory_mb": (peak - self.base) / 1e6,
            "extra_memory_is_bound": peak == self.earlier_peak,
        }

    def free_gigabytes(self) -> float | None:
        gc.collect()  # a measurement that ran out of memory may have left some
        stats = self.device.memory_stats() or {}
        if "bytes_limit" not in stats:
            return None
        return (stats["bytes_limit"] - stats["bytes_in_use"]) / 1e9


class TorchMemory:
    """Measures the peak of torch's CUDA allocator."""

    def start(self) -> None:
        import torch

        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        self.base = torch.cuda.memory_allocated()

    def extra(self) -> dict[str, Any]:
        import torch

        return {"extra_memory_mb": (torch.cuda.max_memory_allocated() - self.base) / 1e6}

    def free_gigabytes(self) -> float | None:
        import torch

        gc.collect()  # a measurement that ran out of memory may have left some
        torch.cuda.empty_cache()
        free, _ = torch.cuda.mem_get_info()
        return (free + torch.cuda.memory_reserved() - torch.cuda.memory_allocated()) / 1e9


def memory_of(framework: str, platform: str) -> HostMemory | JaxMemory | TorchMemory:
    """Returns the meter of the memory of a framework."""
    if platform == "cpu":
        return HostMemory()
    return JaxMemory() if framework == "jax" else TorchMemory()
