"""Signals as matplotlib figures: waveforms, spectrograms, series and comparison grids.

Every function takes numpy arrays of shape (length, channels) or (length,) and returns a
`matplotlib.figure.Figure` that belongs to the caller: no pyplot, so no global state, no window and
nothing to close. Values that are not finite are drawn as zero and named in the title, so that a
diverging run still gets its picture.
"""

from apps.pictures.figure import MOST_COLUMNS as MOST_COLUMNS
from apps.pictures.figure import MOST_PANELS as MOST_PANELS
from apps.pictures.figure import save as save
from apps.pictures.figure import to_image as to_image
from apps.pictures.figure import to_png as to_png
from apps.pictures.gaps import finer as finer
from apps.pictures.gaps import imputation as imputation
from apps.pictures.pages import Comparison as Comparison
from apps.pictures.pages import grid as grid
from apps.pictures.points import planes as planes
from apps.pictures.sounds import spectra as spectra
from apps.pictures.sounds import spectrogram as spectrogram
from apps.pictures.sounds import upsampling as upsampling
from apps.pictures.sounds import waveform as waveform
from apps.pictures.variables import series as series
