"""Images a second of the preset `keras` in Keras on TensorFlow: keras_speed.py keras train|predict BATCH THREADS SECONDS
[PRECISION].

The counterpart of `alexnet bench`: the same layers, Adam, noise that stays in memory, one line of JSON.
PRECISION is f32, or bf16 by the policy mixed_bfloat16.
"""
import os
import sys

os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", KERAS_BACKEND="tensorflow", CUDA_VISIBLE_DEVICES="-1")
import keras
import tensorflow as tf
from keras import layers

import timing

PARAMETERS = 62_378_344


def network():
    conv = lambda filters, kernel, stride=1: layers.Conv2D(filters, kernel, stride, padding="same", activation="relu")
    pool = lambda: layers.MaxPooling2D(3, 2)
    dense = lambda units: layers.Dense(units, activation="relu")
    model = keras.Sequential([
        keras.Input((224, 224, 3)), conv(96, 11, 4), pool(), conv(256, 5), pool(),
        conv(384, 3), conv(384, 3), conv(256, 3), pool(), layers.Flatten(),
        layers.Dropout(0.5), dense(4096), layers.Dropout(0.5), dense(4096), layers.Dense(1000)])
    if model.count_params() != PARAMETERS:
        raise AssertionError(f"keras has {model.count_params()} parameters, not {PARAMETERS}")
    return model


def main():
    name, work, batch, threads, seconds, *precision = sys.argv[1:]
    if precision == ["bf16"]:
        keras.mixed_precision.set_global_policy("mixed_bfloat16")
    batch, threads, seconds = int(batch), int(threads), float(seconds)
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    keras.utils.set_random_seed(1)
    model = network()
    x, labels = tf.random.normal((batch, 224, 224, 3)), tf.range(batch) % 1000
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    adam = keras.optimizers.Adam()
    adam.build(model.trainable_variables)

    @tf.function
    def train():
        with tf.GradientTape() as tape:
            value = loss(labels, model(x, training=True))
        adam.apply(tape.gradient(value, model.trainable_variables), model.trainable_variables)
        return value

    predict = tf.function(lambda: model(x, training=False))
    timing.report(lambda: (train if work == "train" else predict)().numpy(), batch, seconds)


if __name__ == "__main__":
    main()
