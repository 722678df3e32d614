"""Images a second of one network in OpenVINO: openvino_speed.py MODEL predict BATCH THREADS SECONDS [PRECISION].

The network is PyTorch's of networks.py, exported for this batch. PRECISION is f32 or bf16.
"""
import onnx_speed


def measure(path, batch, threads, seconds, precision="f32"):
    import numpy
    import openvino

    import timing

    core = openvino.Core()
    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "INFERENCE_PRECISION_HINT": precision,
    }
    network = core.compile_model(path, "CPU", settings)
    x = numpy.random.default_rng(1).standard_normal((batch, 3, 224, 224), dtype=numpy.float32)
    request = network.create_infer_request()
    timing.report(lambda: request.infer({0: x}), batch, seconds)


if __name__ == "__main__":
    onnx_speed.main(measure)
