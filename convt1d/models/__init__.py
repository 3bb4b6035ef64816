"""Signal models made of the layers."""

from convt1d.models import published as published
from convt1d.models.bands import Banded as Banded
from convt1d.models.bands import BandedEncoder as BandedEncoder
from convt1d.models.bands import Heads as Heads
from convt1d.models.conditional import Conditional as Conditional
from convt1d.models.conditional import ConditionalEncoder as ConditionalEncoder
from convt1d.models.decoders import Decoder as Decoder
from convt1d.models.encoders import Encoder as Encoder
from convt1d.models.layout import Layout as Layout
from convt1d.models.series_upsampler import SeriesUpsampler as SeriesUpsampler
from convt1d.models.summary import Row as Row
from convt1d.models.summary import summary as summary
from convt1d.models.upsampler import Upsampler as Upsampler
from convt1d.models.vae import VAE as VAE
from convt1d.models.vocoder import MelFrontEnd as MelFrontEnd
from convt1d.models.vocoder import Vocoder as Vocoder
