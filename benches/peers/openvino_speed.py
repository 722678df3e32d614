"""Images a second of one network in OpenVINO: openvino_speed.py MODEL predict BATCH THREADS SECONDS [PRECISION].

The network is PyTorch's of networks.py, exported for this batch. PRECISION is f32, bf16, or int8: all weights
in 8 bits with a scale for each output, by NNCF.
"""
import contextlib
import sys

import onnx_speed


def measure(path, batch, threads, seconds, precision="f32"):
    import numpy
    import openvino

    import timing

    core = openvino.Core()
    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "INFERENCE_PRECISION_HINT": "f32" if precision == "int8" else precision,
    }
    network = core.read_model(path)
    if precision == "int8":
        # It writes to standard output.
        with contextlib.redirect_stdout(sys.stderr):
            import nncf

            network = nncf.compress_weights(network, mode=nncf.CompressWeightsMode.INT8_SYM)
    network = core.compile_model(network, "CPU", settings)
    x = numpy.random.default_rng(1).standard_normal((batch, 3, 224, 224), dtype=numpy.float32)
    request = network.create_infer_request()
    timing.report(lambda: request.infer({0: x}), batch, seconds)


if __name__ == "__main__":
    onnx_speed.main(measure)
