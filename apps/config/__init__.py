"""All that can be set: one dataclass per group, one line per setting, and what is refused.

`conf/*.yaml` hold values for these, the command line overrides them, `build.py` makes objects of
them. A check here sees only values; what needs the data or a device is checked where that is at
hand. Steps are optimiser steps, lengths are samples, rates are Hz.
"""

from apps.config.data import Arrays as Arrays
from apps.config.data import AudioFolder as AudioFolder
from apps.config.data import Plucks as Plucks
from apps.config.data import Sines as Sines
from apps.config.data import Tones as Tones
from apps.config.distributed import Distributed as Distributed
from apps.config.model import Model as Model
from apps.config.model import Prior as Prior
from apps.config.objective import Adversarial as Adversarial
from apps.config.objective import Critic as Critic
from apps.config.objective import Gan as Gan
from apps.config.objective import Upsampler as Upsampler
from apps.config.objective import Vae as Vae
from apps.config.objective import VaeGan as VaeGan
from apps.config.objective import Vocoder as Vocoder
from apps.config.objective import check_windows as check_windows
from apps.config.stored import FILE as FILE
from apps.config.stored import MAY_CHANGE as MAY_CHANGE
from apps.config.stored import differences as differences
from apps.config.stored import digest as digest
from apps.config.stored import load as load
from apps.config.stored import save as save
from apps.config.stored import stored as stored
from apps.config.stored import write as write
from apps.config.training import AdamW as AdamW
from apps.config.training import Train as Train
from apps.config.whole import Config as Config
