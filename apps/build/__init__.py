"""From settings to objects, one small function each; the only place where a word selects code."""

from apps.build.networks import critic as critic
from apps.build.networks import model as model
from apps.build.objectives import objective as objective
from apps.build.optimisers import learning_rate as learning_rate
from apps.build.optimisers import optimiser as optimiser
from apps.build.records import loader as loader
from apps.build.records import records as records
from apps.build.records import source as source
from apps.build.running import begun as begun
from apps.build.running import beside as beside
from apps.build.running import cadence as cadence
from apps.build.running import checkpoints as checkpoints
from apps.build.running import company as company
from apps.build.running import evaluator as evaluator
from apps.build.running import mesh as mesh
from apps.build.running import optimisers as optimisers
from apps.build.running import sampler as sampler
from apps.build.running import state as state
from apps.build.running import step as step
from apps.build.running import template as template
from apps.build.trained import SIGNAL as SIGNAL
from apps.build.trained import Trained as Trained
from apps.build.trained import stored_signal as stored_signal
from apps.build.trained import trained as trained
