"""Makes the golden files of this folder: small networks that real Keras saved, with inputs and outputs.

Requirements: keras==3.15.1 jax==0.10.2 h5py==3.16.0 numpy==2.4.6 (any backend of Keras gives files of the same form)
Run: KERAS_BACKEND=jax python make.py
"""

import json
import pathlib

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


def train(model, optimizer, steps=3):
    """A few steps, so that the optimizer has a state and the statistics are not those of the start."""
    random = np.random.default_rng(1)
    images = random.integers(0, 256, (8, 9, 9, 3)).astype("float32")
    labels = random.integers(0, 3, 8)
    model.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy")
    model.fit(images, labels, batch_size=8, epochs=steps, verbose=0)


def expect(model, file):
    """Inputs and logits of a model as JSON."""
    random = np.random.default_rng(2)
    images = random.integers(0, 256, (2, 9, 9, 3)).astype("float32")
    outputs = np.asarray(keras.ops.convert_to_numpy(model(images, training=False)))
    expected = {"images": images.ravel().tolist(), "outputs": [float(value) for value in outputs.ravel()]}
    (FOLDER / file).write_text(json.dumps(expected))


def main():
    keras.utils.set_random_seed(3)
    model = chain("chain")
    train(model, keras.optimizers.Adam(0.01))
    model.save(FOLDER / "chain.keras")
    model.save(FOLDER / "chain.h5")
    expect(model, "chain.json")

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


if __name__ == "__main__":
    main()
