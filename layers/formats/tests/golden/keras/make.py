"""Makes the golden files of this folder: small networks that real Keras saved, with inputs and outputs.

Requirements: keras==3.15.1 jax==0.10.2 h5py==3.16.0 numpy==2.4.6 (any backend of Keras gives files of the same form)
Run: KERAS_BACKEND=jax python make.py
"""

import json
import pathlib

import h5py
import keras
import numpy as np
from keras import layers

FOLDER = pathlib.Path(__file__).parent


def chain(name):
    """Every kind of layer that is read."""
    return keras.Sequential(
        [
            keras.Input((9, 9, 3)),
            layers.Rescaling(1 / 127.5, offset=-1),
            layers.RandomFlip("horizontal"),
            layers.Conv2D(4, 3, strides=2, padding="same", activation="relu", name="first"),
            layers.ZeroPadding2D(((1, 0), (0, 1))),
            layers.MaxPooling2D(2, strides=1),
            layers.Conv2D(6, (2, 3), groups=2, use_bias=False),
            layers.BatchNormalization(epsilon=0.01, momentum=0.9),
            layers.Activation("tanh"),
            layers.AveragePooling2D(2, strides=1, padding="same"),
            layers.Flatten(),
            layers.Dropout(0.25),
            layers.Dense(5, activation="sigmoid"),
            layers.Dense(3, activation="softmax"),
        ],
        name=name,
    )


def train(model, optimizer, steps=3, scale=1):
    """A few steps, so that the optimizer has a state and the statistics are not those of the start."""
    random = np.random.default_rng(1)
    images = random.integers(0, 256, (8, 9, 9, 3)).astype("float32") * scale
    labels = random.integers(0, 3, 8)
    model.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy")
    model.fit(images, labels, batch_size=8, epochs=steps, verbose=0)


def expect(model, file, scale=1):
    """Images of 0 to 255 and the outputs of a model for them, times `scale`, as JSON."""
    random = np.random.default_rng(2)
    images = random.integers(0, 256, (2, 9, 9, 3)).astype("float32")
    outputs = np.asarray(keras.ops.convert_to_numpy(model(images * scale, training=False)))
    expected = {"images": images.ravel().tolist(), "outputs": [float(value) for value in outputs.ravel()]}
    (FOLDER / file).write_text(json.dumps(expected))


def write_keras2(model, file):
    """The model as TensorFlow 2's Keras wrote it: names of variables with `:0`, texts of a fixed length, Adam's m, then v.

    Made by hand after that program's `hdf5_format.py`, since it does not run beside Keras 3.
    """
    config = {"name": "older", "layers": []}
    for layer in model.layers:
        settings = {key: value for key, value in layer.get_config().items() if key not in ("dtype", "build_config")}
        for key in [key for key in settings if key.endswith("_initializer")]:
            settings[key] = {"class_name": settings[key]["class_name"], "config": settings[key]["config"]}
        config["layers"].append({"class_name": type(layer).__name__, "config": settings})
    config["layers"][0]["config"]["batch_input_shape"] = [None, 9, 9, 3]
    optimizer = {"class_name": "Adam", "config": {"name": "Adam", "learning_rate": 0.009999999776482582, "beta_1": 0.9}}
    with h5py.File(FOLDER / file, "w") as target:
        target.attrs["keras_version"] = b"2.4.0"
        target.attrs["backend"] = b"tensorflow"
        target.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": config}).encode()
        target.attrs["training_config"] = json.dumps({"loss": "mse", "optimizer_config": optimizer}).encode()
        weights = target.create_group("model_weights")
        weights.attrs["layer_names"] = [layer.name.encode() for layer in model.layers]
        for layer in model.layers:
            group = weights.create_group(layer.name)
            names = [f"{layer.name}/{variable.name}:0" for variable in layer.weights]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, variable in zip(names, layer.weights):
                group[name] = np.asarray(keras.ops.convert_to_numpy(variable))
        slots = [np.asarray(keras.ops.convert_to_numpy(variable)) for variable in model.optimizer.variables]
        variables = [f"{layer.name}/{variable.name}" for layer in model.layers for variable in layer.weights]
        values = {"Adam/iter:0": np.int64(slots[0])}
        for place, slot in enumerate("mv"):
            values |= {f"Adam/{name}/{slot}:0": slots[2 + 2 * i + place] for i, name in enumerate(variables)}
        group = target.create_group("optimizer_weights")
        group.attrs["weight_names"] = [name.encode() for name in values]
        for name, value in values.items():
            group[name] = value


def main():
    keras.utils.set_random_seed(3)
    model = chain("chain")
    train(model, keras.optimizers.Adam(0.01))
    model.save(FOLDER / "chain.keras")
    model.save(FOLDER / "chain.h5")
    expect(model, "chain.json")

    layers_of_older = [layers.Conv2D(2, 3, strides=2), layers.ReLU(), layers.Flatten(), layers.Dense(3, "softmax")]
    model = keras.Sequential([keras.Input((9, 9, 3)), *layers_of_older])
    train(model, keras.optimizers.Adam(0.01), 2, 1 / 255)
    write_keras2(model, "older.h5")
    expect(model, "older.json", 1 / 255)

    # A functional model, with a model within it, frozen in part, and the other optimizer.
    inner = keras.Sequential([keras.Input((9, 9, 3)), layers.Conv2D(2, 3), layers.ReLU()], name="inner")
    inner.layers[0].trainable = False
    start = keras.Input((9, 9, 3))
    hidden = layers.Normalization(mean=[10.0, 20.0, 30.0], variance=[4.0, 9.0, 16.0])(start)
    hidden = layers.BatchNormalization(scale=False, name="norm")(inner(hidden))
    hidden = layers.GlobalAveragePooling2D()(hidden)
    model = keras.Model(start, layers.Dense(3, name="classes")(hidden), name="graph")
    train(model, keras.optimizers.SGD(0.001, momentum=0.9))
    model.save(FOLDER / "graph.keras")
    expect(model, "graph.json")

    # A model without its top, as those of keras.applications with include_top=False.
    hidden = [layers.Conv2D(4, 3, strides=2, activation="relu"), layers.BatchNormalization(), layers.Conv2D(5, 2)]
    model = keras.Sequential([keras.Input((9, 9, 3)), *hidden], name="headless")
    model.save(FOLDER / "headless.keras")
    model.save_weights(FOLDER / "headless.weights.h5")


if __name__ == "__main__":
    main()
