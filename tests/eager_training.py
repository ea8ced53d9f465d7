"""Runs ``python -m training`` with TensorFlow in eager mode: compiling one step of a large network takes minutes."""

import tensorflow as tf

from training.__main__ import main

if __name__ == "__main__":
    tf.config.run_functions_eagerly(True)  # noqa: FBT003 - TensorFlow's signature
    main(prog_name="training")
