"""From the design matrix to an embedding: encoders in a chain such as `pca:50,spectral:15`.

A new encoder is one file and one line in REGISTRY.
"""

from divmix.encoders.chain import Chain, learn, parse
from divmix.encoders.encoder import JointTraining, Learning

__all__ = ["Chain", "JointTraining", "Learning", "learn", "parse"]
