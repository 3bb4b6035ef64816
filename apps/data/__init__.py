"""From files and formulas to batches: host side, numpy, no jax."""

from apps.data.array_files import read_table as read_table
from apps.data.arrays import Arrays as Arrays
from apps.data.audio_folder import AudioFolder as AudioFolder
from apps.data.checks import FileError as FileError
from apps.data.dates import Dates as Dates
from apps.data.files import read_series as read_series
from apps.data.files import read_signal as read_signal
from apps.data.files import write_signal as write_signal
from apps.data.loader import Loader as Loader
from apps.data.loader import RecordError as RecordError
from apps.data.scaling import Scaling as Scaling
from apps.data.source import Batch as Batch
from apps.data.source import Conditioned as Conditioned
from apps.data.source import Example as Example
from apps.data.source import Signal as Signal
from apps.data.source import Source as Source
from apps.data.source import batch_of as batch_of
from apps.data.source import fixed_batch as fixed_batch
from apps.data.source import pieces as pieces
from apps.data.synthetic import Plucks as Plucks
from apps.data.synthetic import Sines as Sines
from apps.data.table import Table as Table
from apps.data.tones import Tones as Tones
