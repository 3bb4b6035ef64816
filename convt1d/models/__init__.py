"""Signal models made of the layers."""

from convt1d.models.decoders import Decoder as Decoder
from convt1d.models.encoders import Encoder as Encoder
from convt1d.models.layout import Layout as Layout
from convt1d.models.summary import Row as Row
from convt1d.models.summary import summary as summary
from convt1d.models.vae import VAE as VAE
