"""Compares files of Keras with those of this workspace, both ways: logits, and bit by bit the weights and the state of
Adam, AdamW and SGD, of a run with frozen layers too.

Requirements: keras==3.15.1 jax==0.10.2 h5py==3.16.0 numpy==2.4.6
Run, from the root of the workspace:
    cargo build --release -p alexnet-formats --examples
    KERAS_BACKEND=jax python layers/formats/tests/frameworks/keras.py target/release/examples [--full] [--alexnet FILE]

`--full` adds the network of the notebook with all its 62,378,344 parameters; `--alexnet` runs of Keras that the command of
this path continues. Exits with 1 at the first difference.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile

# This file has the name of the package.
sys.path = [entry for entry in sys.path if pathlib.Path(entry or ".").resolve() != pathlib.Path(__file__).parent]
os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import numpy as np
from keras import layers

TOLERANCE = 1e-4
SMALL = (20, 20, 3)


def notebook(classes=1000, size=224, wide=1):
    """The network of the notebook; `wide` divides its numbers of filters and units."""
    return keras.Sequential(
        [
            keras.Input((size, size, 3)),
            layers.Conv2D(96 // wide, (11, 11), 4, padding="same", activation="relu"),
            layers.MaxPool2D((3, 3), strides=(2, 2)),
            layers.Conv2D(256 // wide, (5, 5), padding="same", activation="relu"),
            layers.MaxPool2D((3, 3), strides=(2, 2)),
            layers.Conv2D(384 // wide, (3, 3), padding="same", activation="relu"),
            layers.Conv2D(384 // wide, (3, 3), padding="same", activation="relu"),
            layers.Conv2D(256 // wide, (3, 3), padding="same", activation="relu"),
            layers.MaxPool2D((3, 3), (2, 2)),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(4096 // wide, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(4096 // wide, activation="relu"),
            layers.Dense(classes, activation="softmax"),
        ]
    )


def normed():
    """Batch norms between convolutions, groups, uneven paddings and images prepared inside."""
    return keras.Sequential(
        [
            keras.Input(SMALL),
            layers.Rescaling(1 / 255),
            layers.Normalization(mean=[0.4, 0.5, 0.6], variance=[0.04, 0.05, 0.06]),
            layers.RandomRotation(0.1),
            layers.ZeroPadding2D(((2, 1), (0, 3))),
            layers.Conv2D(8, (5, 4), strides=(2, 3), use_bias=False, name="stem"),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Conv2D(12, 3, groups=4, padding="same"),
            layers.BatchNormalization(epsilon=1e-4),
            layers.Activation("tanh"),
            layers.AveragePooling2D((2, 1), padding="valid"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(7, activation="sigmoid"),
            layers.Dense(5),
        ]
    )


def adapted():
    """A functional model that learns the means of its images, with a model within it."""
    start = keras.Input(SMALL)
    normalization = layers.Normalization()
    normalization.adapt(images(SMALL, 16))
    inner = keras.Sequential([keras.Input(SMALL), layers.Conv2D(4, 3, activation="relu"), layers.MaxPooling2D(3, 2, "same")])
    hidden = layers.Flatten()(inner(normalization(start)))
    return keras.Model(start, layers.Softmax()(layers.Dense(5)(hidden)))


def frozen():
    """A convolution, a batch norm and a dense layer that are not trained."""
    model = keras.Sequential(
        [
            keras.Input(SMALL),
            layers.Conv2D(6, 3, activation="relu", trainable=False),
            layers.BatchNormalization(trainable=False),
            layers.Conv2D(5, 3, strides=2, activation="relu"),
            layers.Flatten(),
            layers.Dense(6, activation="relu", trainable=False),
            layers.Dense(3, activation="softmax"),
        ]
    )
    norm = model.layers[1]
    norm.set_weights([np.linspace(0.5, 2, 6) + number for number in range(4)])
    return model


def images(shape, count):
    return np.random.default_rng(5).integers(0, 256, (count, *shape)).astype("float32")


def train(model, optimizer, steps, scale):
    batch = images(model.input_shape[1:], 4) * scale
    labels = np.arange(4) % model.output_shape[-1]
    from_logits = model.layers[-1].name.startswith("dense") and model.layers[-1].activation.__name__ == "linear"
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=from_logits))
    model.fit(batch, labels, batch_size=4, epochs=steps, verbose=0)


def predict(model, batch):
    return np.asarray(keras.ops.convert_to_numpy(model(batch, training=False)))


def fail(words):
    print("DIFFERENT:", words)
    sys.exit(1)


def same(name, found, expected, tolerance=TOLERANCE):
    error = np.abs(found - expected).max() / np.abs(expected).max()
    print(f"  {name}: {error:.1e}")
    if not error <= tolerance:
        fail(f"{name}: {error}")


def same_bits(name, found, expected):
    if len(found) != len(expected) or any(not np.array_equal(a, b) for a, b in zip(found, expected)):
        fail(f"{name} are not the same, bit by bit")
    print(f"  {name}: {len(expected)} tensors bit by bit")


def weight_decay(optimizer):
    """The decay apart from the gradient: that of AdamW, and of Adam with weight decay, which comes back as AdamW."""
    return optimizer.weight_decay or 0.0


def variables(optimizer):
    return [np.asarray(keras.ops.convert_to_numpy(variable)) for variable in optimizer.variables]


class Examples:
    """The example programs of the crate."""

    def __init__(self, folder, work):
        self.folder, self.work = pathlib.Path(folder), work

    def run(self, name, *arguments):
        done = subprocess.run([self.folder / name, *map(str, arguments)], capture_output=True, text=True)
        if done.returncode:
            fail(f"{name} {arguments}: {done.stderr}")
        return done.stdout

    def logits(self, file, batch, scale):
        """Logits of images of 0 to 255; `scale` multiplies them if the file has no layer that prepares them."""
        source, target = self.work / "in.f32", self.work / "out.f32"
        (batch * scale).astype("<f4").tofile(source)
        self.run("logits", file, source, target)
        return np.fromfile(target, "<f4").reshape(len(batch), -1)


def softmax(logits):
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponents / exponents.sum(axis=1, keepdims=True)


def prepared(model, batch):
    """Images after the layers of a model that prepare them; those layers are not in the networks here."""
    for layer in model.layers:
        if not isinstance(layer, (layers.InputLayer, layers.Rescaling, layers.Normalization)):
            break
        if not isinstance(layer, layers.InputLayer):
            batch = np.asarray(keras.ops.convert_to_numpy(layer(batch)))
    return batch


def compare(examples, name, model, optimizer, scale, steps=2):
    print(name)
    train(model, optimizer, steps, scale)
    batch = images(model.input_shape[1:], 2) * scale
    expected = predict(model, batch)
    ends_in_softmax = np.allclose(expected.sum(axis=1), 1, atol=1e-5) and (expected >= 0).all()
    files = [examples.work / f"{name}{ending}" for ending in (".keras", ".h5")]
    for file in files:
        model.save(file)
        logits = examples.logits(file, prepared(model, batch), 1)
        same(f"outputs of {file.suffix}", softmax(logits) if ends_in_softmax else logits, expected)

    back = examples.work / "back.keras"
    examples.run("convert", files[0], back)
    loaded = keras.models.load_model(back)
    inputs = batch
    same("outputs of Keras with the file that was written", predict(loaded, inputs), expected)
    weights = [w for layer in model.layers for w in layer.get_weights() if not isinstance(layer, layers.Normalization)]
    if name != "normed":
        same_bits("weights", loaded.get_weights()[: len(weights)], weights)
    same_bits("the optimizer's variables", variables(loaded.optimizer), variables(model.optimizer))

    weights_file = examples.work / "back.weights.h5"
    examples.run("convert", files[0], weights_file)
    other = keras.models.clone_model(model)
    if name not in ("normed", "adapted"):
        other.compile(type(model.optimizer).from_config(model.optimizer.get_config()))
        other.optimizer.build(other.trainable_variables)
        other.load_weights(weights_file)
        same_bits("weights of the .weights.h5", other.get_weights(), model.get_weights())
        same_bits("the optimizer's variables in it", variables(other.optimizer), variables(model.optimizer))

    # The weights of Keras alone, for the network of the archive.
    alone = examples.work / "alone.weights.h5"
    model.save_weights(alone)
    if name not in ("normed", "adapted"):
        examples.run("convert", alone, back, files[0])
        again = keras.models.load_model(back)
        same_bits("weights of Keras' .weights.h5", again.get_weights(), model.get_weights())
        same_bits("the optimizer's variables of Keras' .weights.h5", variables(again.optimizer), variables(model.optimizer))
        decays = [weight_decay(optimizer) for optimizer in (again.optimizer, model.optimizer)]
        if decays[0] != decays[1]:
            fail(f"weight decays of Keras' .weights.h5: {decays}")

    if name == "full":
        # Without a network, the only preset that has these tensors.
        same("outputs of the .weights.h5", softmax(examples.logits(weights_file, batch, 1)), expected)

    # Both go on in the same way.
    for going_on in (model, loaded):
        train_on(going_on, scale)
    same("outputs after more steps", predict(loaded, inputs), predict(model, inputs))


def train_on(model, scale):
    """Steps of training without dropout, from the optimizer's state."""
    batch = images(model.input_shape[1:], 4) * scale
    labels = np.arange(4) % model.output_shape[-1]
    for layer in model.layers:
        if isinstance(layer, (layers.Dropout, layers.RandomRotation)):
            layer.call = lambda inputs, training=False: inputs
    model.make_train_function(force=True)
    model.fit(batch, labels, batch_size=4, epochs=2, verbose=0)


def go_on(alexnet, work, optimizer):
    """A run of Keras goes on in `alexnet train` as it does in Keras."""
    print(f"alexnet goes on with {optimizer.name}")
    model = keras.Sequential(
        [
            keras.Input((24, 24, 3)),
            layers.Conv2D(6, 5, strides=2, padding="same", activation="relu"),
            layers.MaxPooling2D(3, 2),
            layers.Flatten(),
            layers.Dense(8, activation="relu"),
            layers.Dense(2, activation="softmax"),
        ]
    )
    pixels = images((24, 24, 3), 8)
    for number, image in enumerate(pixels):
        folder = work / "images" / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.ppm").write_bytes(b"P6 24 24 255\n" + image.astype(np.uint8).tobytes())
    model.compile(optimizer, "sparse_categorical_crossentropy")
    fit = {"x": pixels / 255, "y": np.arange(8) % 2, "batch_size": 8, "verbose": 0}
    model.fit(**fit, epochs=3)
    model.save(work / "begun.keras")
    begun = model.get_weights()
    model.fit(**fit, epochs=4)

    def run(*arguments):
        done = subprocess.run([alexnet, *map(str, arguments)], capture_output=True, text=True, cwd=work)
        if done.returncode:
            fail(f"alexnet {arguments}: {done.stderr}")
        return done.stderr

    run("pack", "images", f"{optimizer.name}.pack", "--size", 24)
    settings = [f"--set={setting}" for setting in ("data.augment=false", "data.shuffle=false", "run.batch=8")]
    train = ["train", "--data", f"{optimizer.name}.pack", "--model", "begun.keras", "--weights", "begun.keras"]
    said = run(*train, *settings, "--epochs", 4, "--out", optimizer.name)
    if "goes on with the state of its optimizer" not in said:
        fail(f"no word of the optimizer: {said}")
    run("convert", optimizer.name, "ended.keras")
    ended = keras.models.load_model(work / "ended.keras")
    for number, (found, expected, start) in enumerate(zip(ended.get_weights(), model.get_weights(), begun)):
        same(f"change of weight {number}", found - start, expected - start, 1e-3)
    for number, (found, expected) in enumerate(zip(variables(ended.optimizer), variables(model.optimizer))):
        same(f"variable {number} of the optimizer", found, expected, 1e-3)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("examples")
    parser.add_argument("--alexnet", type=pathlib.Path)
    parser.add_argument("--full", action="store_true")
    arguments = parser.parse_args()
    keras.utils.set_random_seed(3)
    with tempfile.TemporaryDirectory() as folder:
        examples = Examples(arguments.examples, pathlib.Path(folder))
        compare(examples, "notebook", notebook(10, 96, 16), "adam", 1 / 255)
        compare(examples, "normed", normed(), keras.optimizers.SGD(0.01, momentum=0.9, nesterov=True), 1)
        compare(examples, "adapted", adapted(), keras.optimizers.Adam(0.001, beta_1=0.8, epsilon=1e-6), 1)
        adamw = keras.optimizers.AdamW
        compare(examples, "adamw", notebook(10, 96, 16), adamw(0.001, weight_decay=0.02), 1 / 255)
        decayed = keras.optimizers.Adam(0.001, weight_decay=0.02)
        compare(examples, "decayed", notebook(10, 96, 16), decayed, 1 / 255)
        compare(examples, "frozen", frozen(), "adam", 1 / 255)
        if arguments.full:
            compare(examples, "full", notebook(), "adam", 1 / 255, steps=1)
        if arguments.alexnet:
            for optimizer in (keras.optimizers.Adam(0.01), keras.optimizers.SGD(0.05, momentum=0.9), adamw(0.01)):
                go_on(arguments.alexnet.resolve(), pathlib.Path(folder), optimizer)
    print("the same")


if __name__ == "__main__":
    main()
