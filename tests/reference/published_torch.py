"""The published models in PyTorch: transformers' own, and the others plainly from their formulas.

The names of layers are those of the original repositories, old-style weight norm included.
"""

import math
import warnings

import torch  # pyright: ignore[reportMissingImports]
from reference.published_cases import numbers
from torch import nn  # pyright: ignore[reportMissingImports]
from torch.nn import functional as F  # pyright: ignore[reportMissingImports]


def normed(layer):
    """With weight norm, as ``weight_g`` and ``weight_v``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.nn.utils.weight_norm(layer)


def conv(inputs, outputs, taps, *, dilation=1, stride=1, padding=None, bias=True):
    padding = (taps - 1) * dilation // 2 if padding is None else padding
    return normed(nn.Conv1d(inputs, outputs, taps, stride, padding, dilation=dilation, bias=bias))


def up(inputs, outputs, stride, padding, *, bias=True):
    return normed(nn.ConvTranspose1d(inputs, outputs, 2 * stride, stride, padding, bias=bias))


class Held(nn.Module):
    """A module under a name of its own, its input added to its output if wanted."""

    def __init__(self, name, module, *, residual=False):
        super().__init__()
        self.name, self.residual = name, residual
        self.add_module(name, module)

    def forward(self, x):
        y = getattr(self, self.name)(x)
        return x + y if self.residual else y


def nest(name, *layers, residual=False):
    return Held(name, nn.Sequential(*layers), residual=residual)


class Snake(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(1, channels, 1))

    def forward(self, x):
        return x + torch.sin(self.alpha * x) ** 2 / (self.alpha + 1e-9)


class SnakeBeta(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.alpha = nn.Parameter(torch.zeros(channels))
        self.beta = nn.Parameter(torch.zeros(channels))

    def forward(self, x):
        alpha, beta = (p.exp()[None, :, None] for p in (self.alpha, self.beta))
        return x + torch.sin(alpha * x) ** 2 / (beta + 1e-9)


def snake_decoder(outer, inner, snake, channels, strides, *, signal=1, latent=5, last=True):
    """DAC's decoder, and Oobleck's."""
    layers = [conv(latent, channels[0], 7)]
    for i, s in enumerate(strides):
        wide, narrow = channels[i : i + 2]
        units = [snake_unit(inner, snake, narrow, d) for d in (1, 3, 9)]
        layers.append(nest(inner, snake(wide), up(wide, narrow, s, math.ceil(s / 2)), *units))
    layers += [snake(channels[-1]), conv(channels[-1], signal, 7, bias=last)]
    return nest(outer, *layers, *([nn.Tanh()] if last else []))


def snake_encoder(outer, inner, snake, channels, strides, *, latent=5):
    """DAC's encoder."""
    layers = [conv(1, channels[0], 7)]
    for i, s in enumerate(strides):
        narrow, wide = channels[i : i + 2]
        units = [snake_unit(inner, snake, narrow, d) for d in (1, 3, 9)]
        down = conv(narrow, wide, 2 * s, stride=s, padding=math.ceil(s / 2))
        layers.append(nest(inner, *units, snake(narrow), down))
    return nest(outer, *layers, snake(channels[-1]), conv(channels[-1], latent, 3))


def snake_unit(inner, snake, channels, dilation):
    return nest(
        inner, snake(channels), conv(channels, channels, 7, dilation=dilation),
        snake(channels), conv(channels, channels, 1), residual=True,
    )  # fmt: skip


class HifiGan(nn.Module):
    def __init__(self, channels, strides, kernels, dilations, *, single):
        super().__init__()
        self.conv_pre = conv(5, channels[0], 7)
        pairs = list(zip(channels, channels[1:], strides, strict=False))
        self.ups = nn.ModuleList(up(a, b, s, s // 2) for a, b, s in pairs)
        self.resblocks = nn.ModuleList(
            HifiGanBlock(c, k, d, single=single)
            for c in channels[1:]
            for k, d in zip(kernels, dilations, strict=True)
        )
        self.conv_post = conv(channels[-1], 1, 7)

    def forward(self, x):
        x, branches = self.conv_pre(x), len(self.resblocks) // len(self.ups)
        for i, layer in enumerate(self.ups):
            x = layer(F.leaky_relu(x, 0.1))
            blocks = self.resblocks[i * branches : (i + 1) * branches]
            x = sum(block(x) for block in blocks) / branches
        return torch.tanh(self.conv_post(F.leaky_relu(x, 0.01)))


class HifiGanBlock(nn.Module):
    def __init__(self, channels, taps, dilations, *, single):
        super().__init__()
        dilated = nn.ModuleList(conv(channels, channels, taps, dilation=d) for d in dilations)
        if single:
            self.convs = dilated
        else:
            self.convs1 = dilated
            self.convs2 = nn.ModuleList(conv(channels, channels, taps) for _ in dilations)

    def forward(self, x):
        for i, layer in enumerate(self.convs if hasattr(self, "convs") else self.convs1):
            y = layer(F.leaky_relu(x, 0.1))
            x = x + (y if hasattr(self, "convs") else self.convs2[i](F.leaky_relu(y, 0.1)))
        return x


class Causal(nn.Module):
    """EnCodec's convolution: the signal mirrored before its beginning."""

    def __init__(self, inputs, outputs, taps):
        super().__init__()
        self.conv = Held("conv", conv(inputs, outputs, taps, padding=0))
        self.before = taps - 1

    def forward(self, x):
        missing = max(0, self.before + 1 - x.shape[-1])
        x = F.pad(F.pad(x, (0, missing)), (self.before, 0), mode="reflect")
        return self.conv(x[..., : x.shape[-1] - missing])


class CausalUp(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.convtr = Held("convtr", up(inputs, outputs, stride, 0))
        self.after = stride

    def forward(self, x):
        return self.convtr(x)[..., : -self.after]


class Recurrent(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.lstm = nn.LSTM(channels, channels, 2)

    def forward(self, x):
        y = x.permute(2, 0, 1)
        return (self.lstm(y)[0] + y).permute(1, 2, 0)


class SeanetUnit(nn.Module):
    def __init__(self, channels):
        super().__init__()
        half = channels // 2
        self.block = nn.Sequential(
            nn.ELU(), Causal(channels, half, 3), nn.ELU(), Causal(half, channels, 1)
        )
        self.shortcut = Causal(channels, channels, 1)

    def forward(self, x):
        return self.shortcut(x) + self.block(x)


def encodec(channels, strides):
    layers = [Causal(5, channels[0], 7), Recurrent(channels[0])]
    for a, b, s in zip(channels, channels[1:], strides, strict=False):
        layers += [nn.ELU(), CausalUp(a, b, s), SeanetUnit(b)]
    return nest("model", *layers, nn.ELU(), Causal(channels[-1], 1, 7))


class Rave(nn.Module):
    """A decoder of bands, and the synthesis of RAVE's filter bank in time with the signal."""

    def __init__(self, decoder, bands=4, taps=128):
        super().__init__()
        self.decoder, self.pqmf = decoder, nn.Module()
        self.pqmf.register_buffer("hk", torch.zeros(bands, taps))

    def forward(self, x):
        x, bank = self.decoder(x), self.pqmf.hk
        (bands, taps), length = bank.shape, x.shape[-1]
        signs = torch.ones_like(x)
        signs[:, 1::2, ::2] = -1
        y = F.conv_transpose1d(bands * signs * x, bank[:, None], stride=bands)
        return y[..., taps // 2 :][..., : bands * length]


class Bands(nn.Module):
    """RAVE v2: amplitude modulation of the bands."""

    def __init__(self, channels, strides, units):
        super().__init__()
        layers = [conv(5, channels[0], 3, bias=False)]
        for a, b, s, count in zip(channels, channels[1:], strides, units, strict=False):
            layers += [nn.LeakyReLU(0.2), up(a, b, s, s // 2, bias=False)]
            layers += [rave_unit(b, (1, 3, 9)[j]) for j in range(count)]
        last = conv(channels[-1], 8, 7, bias=False)
        self.net = nn.Sequential(*layers, nn.LeakyReLU(0.2), last)

    def forward(self, x):
        wave, amplitude = self.net(x).chunk(2, dim=1)
        return torch.tanh(wave * torch.sigmoid(amplitude))


def rave_unit(channels, dilation):
    layers = nest(
        "net", nn.LeakyReLU(0.2), conv(channels, channels, 3, dilation=dilation, bias=False),
        nn.LeakyReLU(0.2), conv(channels, channels, 1, bias=False),
    )  # fmt: skip
    return Held("aligned", nest("branches", layers), residual=True)


class FirstBands(nn.Module):
    """RAVE v1: wave times loudness, and beside them noise of given amplitudes."""

    def __init__(self, channels, strides):
        super().__init__()
        layers = [conv(5, channels[0], 7, bias=False)]
        for a, b, s in zip(channels, channels[1:], strides, strict=False):
            layers.append(nest("net", nn.LeakyReLU(0.2), up(a, b, s, s // 2, bias=False)))
            units = nest("net", *(Held("net", rave_stack(b, d)) for d in (1, 3, 5)))
            layers.append(Held("net", nest("branches", units)))
        self.net, last = nn.Sequential(*layers), channels[-1]
        wave, loudness = conv(last, 4, 7, bias=False), conv(last, 1, 3, bias=False)
        self.synth = Held("branches", nn.ModuleList([wave, loudness, Noise(last)]))

    def forward(self, x):
        wave, loudness, _ = self.synth.branches
        x = self.net(x)
        return torch.tanh(wave(x)) * squashed(loudness(x))


def rave_stack(channels, dilation):
    layers = nn.Sequential(
        nn.LeakyReLU(0.2), conv(channels, channels, 3, dilation=dilation, bias=False),
        nn.LeakyReLU(0.2), conv(channels, channels, 3, bias=False),
    )  # fmt: skip
    return Held("aligned", nest("branches", layers), residual=True)


def squashed(x):
    return 2 * torch.sigmoid(x) ** 2.3 + 1e-7


class Noise(nn.Module):
    def __init__(self, channels):
        super().__init__()
        first = nn.Conv1d(channels, channels, 3, 4, 1, bias=False)
        last = nn.Conv1d(channels, 4 * 5, 3, 2, 1, bias=False)
        self.net = nn.Sequential(first, nn.LeakyReLU(0.2), last)

    def forward(self, x, noise):
        """``noise``: batch, filters, bands, samples of a filter."""
        amplitudes = squashed(self.net(x) - 5).permute(0, 2, 1)
        amplitudes = amplitudes.reshape(*amplitudes.shape[:2], 4, 5)
        taps = torch.fft.irfft(amplitudes.to(torch.complex128), n=8)
        taps = torch.roll(taps, 4, -1) * torch.hann_window(8, dtype=taps.dtype)
        size = noise.shape[-1]
        taps = torch.roll(F.pad(taps, (0, size - 8)), -4, -1)
        y = torch.zeros_like(noise)
        for n in range(size):  # the plain sum, of what is not before the piece
            for j in range(n + 1):
                y[..., n] += noise[..., j] * taps[..., n - j]
        return y.permute(0, 2, 1, 3).reshape(y.shape[0], y.shape[2], -1)


def transformers_dac(rates, *, whole=False):
    from transformers import DacConfig, DacModel  # pyright: ignore[reportMissingImports]

    sizes = {} if whole else {"encoder_hidden_size": 4, "decoder_hidden_size": 16}
    return DacModel(DacConfig(downsampling_ratios=rates, n_codebooks=1, **sizes))


def transformers_encodec(*, causal=True, whole=False):
    from transformers import EncodecConfig, EncodecModel  # pyright: ignore[reportMissingImports]

    sizes = {"num_filters": 4, "hidden_size": 5, "codebook_size": 8, "upsampling_ratios": [5, 2]}
    sizes = {} if whole else sizes
    return EncodecModel(EncodecConfig(use_causal_conv=causal, **sizes))


def transformers_mimi(*, whole=False):
    from transformers import MimiConfig, MimiModel  # pyright: ignore[reportMissingImports]
    from transformers.models.mimi import modeling_mimi  # pyright: ignore[reportMissingImports]

    if whole:
        return MimiModel(MimiConfig())
    config = MimiConfig(num_filters=4, hidden_size=5, upsampling_ratios=[5, 4])
    both = nn.Module()
    both.encoder = modeling_mimi.MimiEncoder(config)
    both.decoder = modeling_mimi.MimiDecoder(config)
    return both


def transformers_hifigan(*, whole=False):
    from transformers import SpeechT5HifiGan  # pyright: ignore[reportMissingImports]
    from transformers import SpeechT5HifiGanConfig as Config  # pyright: ignore[reportMissingImports]

    rates, kernels = ([8, 8, 2, 2], [16, 16, 4, 4]) if whole else ([8, 2], [16, 4])
    sizes = {} if whole else {"model_in_dim": 5, "upsample_initial_channel": 16}
    config = Config(
        upsample_rates=rates, upsample_kernel_sizes=kernels, normalize_before=False, **sizes
    )
    return SpeechT5HifiGan(config)


CHANNELS = (16, 8, 4)
MODELS = {
    "hifigan 1": lambda: HifiGan(CHANNELS, (8, 2), (3, 7, 11), [(1, 3, 5)] * 3, single=False),
    "hifigan 3": lambda: HifiGan(
        CHANNELS, (8, 2), (3, 5, 7), [(1, 2), (2, 6), (3, 12)], single=True
    ),
    "speecht5": transformers_hifigan,
    "dac": lambda: snake_decoder("model", "block", Snake, CHANNELS, (8, 5)),
    "dac encoder": lambda: snake_encoder("block", "block", Snake, CHANNELS[::-1], (5, 8)),
    "transformers dac 44": lambda: transformers_dac([2, 8]).decoder,
    "transformers dac 24": lambda: transformers_dac([5, 8]).decoder,
    "transformers dac encoder": lambda: transformers_dac([5, 8]).encoder,
    "encodec": lambda: encodec(CHANNELS, (5, 2)),
    "transformers encodec": lambda: transformers_encodec().decoder,
    "transformers encodec, not causal": lambda: transformers_encodec(causal=False).decoder,
    "transformers encodec encoder": lambda: transformers_encodec().encoder,
    "transformers encodec encoder, not causal": lambda: transformers_encodec(causal=False).encoder,
    "mimi": lambda: transformers_mimi().decoder,
    "mimi encoder": lambda: transformers_mimi().encoder,
    "oobleck": lambda: snake_decoder(
        "layers", "layers", SnakeBeta, (8, 4, 4), (3, 2), signal=2, last=False
    ),
    "rave 2": lambda: Rave(Bands(CHANNELS, (2, 4), (2, 3))),
    "rave 1": lambda: Rave(FirstBands(CHANNELS, (4, 2))),
    "rave 1 noise": lambda: Rave(FirstBands(CHANNELS, (4, 2))),
}


def run(name, model, x):
    """What ``model`` makes of ``x``, batch, length, channels."""
    if name == "speecht5":
        return model(x)[..., None]
    x = x.transpose(1, 2)
    if name == "rave 1 noise":
        shape = (x.shape[0], x.shape[2], 4, 8)
        noise = torch.from_numpy(numbers("noise", shape)).to(x.dtype)
        y = model.decoder.synth.branches[2](model.decoder.net(x), noise)
    else:
        y = model(x)
    return y.transpose(1, 2)
