"""The fast transposed 1-D convolution for JAX, and the signal decoders made of it."""

from convt1d import _stream_layers as _stream_layers  # teaches `stream` the layers
from convt1d import initializers as initializers
from convt1d import interop as interop
from convt1d import models as models
from convt1d._activations import Snake as Snake
from convt1d._activations import SnakeBeta as SnakeBeta
from convt1d._activations import snake as snake
from convt1d._activations import snake_beta as snake_beta
from convt1d._chunked import decode_chunked as decode_chunked
from convt1d._conv_transpose import conv1d as conv1d
from convt1d._conv_transpose import conv_transpose1d as conv_transpose1d
from convt1d._convolution import Conv1d as Conv1d
from convt1d._layers import ConvTranspose1d as ConvTranspose1d
from convt1d._parameters import Frozen as Frozen
from convt1d._parameters import trainable as trainable
from convt1d._pqmf import PQMF as PQMF
from convt1d._stream_parts import stream_chain as stream_chain
from convt1d._stream_parts import stream_sum as stream_sum
from convt1d._stream_samples import stream_pointwise as stream_pointwise
from convt1d._streaming import Stream as Stream
from convt1d._streaming import stream as stream
from convt1d._weight_norm import WeightNorm as WeightNorm
from convt1d.io import load as load
from convt1d.io import load_description as load_description
from convt1d.io import save as save
from convt1d.models.summary import summary as summary
