"""Images a second of one network in ONNX Runtime: onnx_speed.py MODEL predict BATCH THREADS SECONDS [PRECISION].

The network is PyTorch's of networks.py, exported for this batch. PRECISION is f32, or int8: dynamic quantization of the
fully connected layers, with a scale for each output.
"""
import os
import subprocess
import sys
import tempfile

EXPORT = """
import sys, torch, networks
name, batch, path = sys.argv[1:]
net = networks.build(name).eval()
torch.onnx.export(net, (torch.randn(int(batch), 3, 224, 224),), path, input_names=["x"], dynamo=False)
"""


def main(measure):
    """Exports the network and calls measure(path, batch, threads, seconds, precision)."""
    name, work, batch, threads, seconds, *precision = sys.argv[1:]
    if work != "predict":
        sys.exit("it predicts only")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "network.onnx")
        # In a process of its own, so that PyTorch's memory is not counted.
        here = os.path.dirname(os.path.abspath(__file__))
        done = subprocess.run([sys.executable, "-c", EXPORT, name, batch, path], cwd=here, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"the export of {name} failed:\n{done.stderr}")
        measure(path, int(batch), int(threads), float(seconds), *precision)


def measure(path, batch, threads, seconds, precision="f32"):
    if precision not in ("f32", "int8"):
        sys.exit(f"ONNX Runtime has no {precision} on the CPU")
    import numpy
    import onnxruntime

    import timing

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    if precision == "int8":
        from onnxruntime import quantization

        whole, path = path, f"{path}.int8"
        quantization.quantize_dynamic(whole, path, op_types_to_quantize=["Gemm", "MatMul"], per_channel=True)
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    x = numpy.random.default_rng(1).standard_normal((batch, 3, 224, 224), dtype=numpy.float32)
    timing.report(lambda: session.run(None, {"x": x}), batch, seconds)


if __name__ == "__main__":
    main(measure)
