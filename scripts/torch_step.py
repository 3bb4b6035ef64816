"""A training step in PyTorch, written plainly: the rival of `bench_torch_step.py`, which runs it.

Models, losses and optimisers are those of `apps`, with the same names, so that weights travel as
`convt1d.interop` writes them. It reads what is to be done from a folder: `case.json` and
`arrays.npz`. First it computes the loss of each turn on the given batch, to be compared with ours;
then it trains on that batch. It prints the losses, and how long each step took.
"""
# Plain PyTorch has no docstring at every `forward`, and says `requires_grad_(False)`.
# ruff: noqa: D101, D102, D103, FBT003

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch  # pyright: ignore[reportMissingImports]
from torch import nn  # pyright: ignore[reportMissingImports]
from torch.nn import functional as F  # pyright: ignore[reportMissingImports]
from torch.nn.utils.parametrizations import weight_norm  # pyright: ignore[reportMissingImports]


def conv(inputs, outputs, taps, *, stride=1, dilation=1, padding=None, normed=True):
    if padding is None:
        padding = (dilation * (taps - 1) + 1 - stride) // 2
    layer = nn.Conv1d(inputs, outputs, taps, stride, padding, dilation)
    return weight_norm(layer) if normed else layer


def up(inputs, outputs, taps, *, stride, normed):
    layer = nn.ConvTranspose1d(inputs, outputs, taps, stride, (taps - stride) // 2)
    return weight_norm(layer) if normed else layer


class Snake(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(channels))

    def forward(self, x):
        alpha = self.alpha[None, :, None]
        return x + torch.sin(alpha * x).square() / (alpha + 1e-9)


def activation(layout, channels):
    kinds = {"snake": lambda: Snake(channels), "leaky_relu": lambda: nn.LeakyReLU(layout["slope"])}
    return kinds.get(layout["activation"], nn.ReLU)()


class Unit(nn.Module):
    def __init__(self, channels, layout, taps, dilation):
        super().__init__()
        after = 1 if layout["residual"] == "pointwise" else taps
        normed = layout["weight_norm"]
        self.first = activation(layout, channels)
        self.dilated = conv(channels, channels, taps, dilation=dilation, normed=normed)
        self.second = activation(layout, channels)
        self.mixing = conv(channels, channels, after, normed=normed)

    def forward(self, x):
        return x + self.mixing(self.second(self.dilated(self.first(x))))


def branches(channels, layout, stage):
    count = layout["units"][stage] if layout["units"] else len(layout["dilations"])
    return nn.ModuleList(
        nn.Sequential(*(Unit(channels, layout, taps, d) for d in layout["dilations"][:count]))
        for taps in (layout["residual_kernels"] if count else [])
    )


def averaged(parts, x):
    return sum(part(x) for part in parts) / len(parts) if len(parts) else x


class UpStage(nn.Module):
    def __init__(self, inputs, outputs, layout, i):
        super().__init__()
        self.activation = activation(layout, inputs)
        taps, stride = layout["stride_kernels"][i], layout["strides"][i]
        self.up = up(inputs, outputs, taps, stride=stride, normed=layout["weight_norm"])
        self.branches = branches(outputs, layout, i)

    def forward(self, x):
        return averaged(self.branches, self.up(self.activation(x)))


class DownStage(nn.Module):
    def __init__(self, inputs, outputs, layout, i):
        super().__init__()
        self.branches = branches(inputs, layout, i)
        self.activation = activation(layout, inputs)
        taps, stride = layout["stride_kernels"][i], layout["strides"][i]
        self.down = conv(inputs, outputs, taps, stride=stride, normed=layout["weight_norm"])

    def forward(self, x):
        return self.down(self.activation(averaged(self.branches, x)))


class Decoder(nn.Module):
    def __init__(self, latent, layout, output):
        super().__init__()
        widths, normed, self.output = layout["channels"], layout["weight_norm"], output
        made = 2 if output == "modulated" else 1
        self.first = conv(latent, widths[0], layout["latent_kernel_size"], normed=normed)
        self.stages = nn.Sequential(
            *(UpStage(widths[i], widths[i + 1], layout, i) for i in range(len(layout["strides"])))
        )
        self.closing = activation(layout, widths[-1])
        self.last = conv(widths[-1], made, layout["kernel_size"], normed=normed)

    def forward(self, latent):
        x = self.last(self.closing(self.stages(self.first(latent))))
        if self.output == "modulated":
            wave, amplitude = x.chunk(2, 1)
            x = wave * torch.sigmoid(amplitude)
        return x if self.output == "none" else torch.tanh(x)


class Encoder(nn.Module):
    def __init__(self, features, layout):
        super().__init__()
        widths, normed = layout["channels"], layout["weight_norm"]
        self.first = conv(1, widths[-1], layout["kernel_size"], normed=normed)
        self.stages = nn.Sequential(
            *(
                DownStage(widths[i + 1], widths[i], layout, i)
                for i in reversed(range(len(layout["strides"])))
            )
        )
        self.closing = activation(layout, widths[0])
        self.last = conv(widths[0], features, layout["latent_kernel_size"], normed=normed)

    def forward(self, signal):
        return self.last(self.closing(self.stages(self.first(signal))))


class Vae(nn.Module):
    """Signals are (batch, 1, length) throughout, as PyTorch has them."""

    def __init__(self, case, arrays):
        super().__init__()
        self.encoder = Encoder(2 * case["latent"], case["encoder"])
        self.decoder = Decoder(case["latent"], case["decoder"], case["output"])
        self.case, self.arrays = case, arrays

    def loss(self, batch, noise):
        mean, scale = self.encoder(batch).chunk(2, 1)
        log_std = torch.log(F.softplus(scale) + 1e-4)
        if noise is None:
            noise = torch.randn_like(mean)
        made = self.decoder(mean + torch.exp(log_std) * noise)
        nats = 0.5 * (mean.square() + torch.expm1(2 * log_std) - 2 * log_std)
        kl = nats.mean((0, 2)).sum()
        distance = mel_distance(made, batch, self.case, self.arrays)
        case = self.case
        value = case["reconstruction_weight"] * distance + case["l1_weight"] * F.l1_loss(
            made, batch
        )
        return value + case["kl_weight"] * kl, made

    def make(self, batch, noise):
        mean, scale = self.encoder(batch).chunk(2, 1)
        std = F.softplus(scale) + 1e-4
        return self.decoder(mean + std * (torch.randn_like(mean) if noise is None else noise))


class Vocoder(nn.Module):
    def __init__(self, case, arrays):
        super().__init__()
        self.decoder = Decoder(case["latent"], case["decoder"], case["output"])
        self.case, self.arrays = case, arrays

    def front_end(self, signal):
        n_fft, hop = self.case["n_fft"], self.case["hop"]
        around = (n_fft - hop) // 2
        padded = F.pad(signal, (around, around), mode="reflect")[:, 0]
        window = self.arrays[f"window.{n_fft}"]
        spectrum = torch.stft(padded, n_fft, hop, window=window, center=False, return_complex=True)
        magnitude = torch.sqrt(spectrum.real**2 + spectrum.imag**2 + 1e-9)
        return torch.log(torch.clamp(self.arrays["mel"].T @ magnitude, min=self.case["floor"]))

    def loss(self, batch, noise):
        del noise
        mel = self.front_end(batch)
        made = self.from_mel(mel)
        return self.case["mel_weight"] * F.l1_loss(self.front_end(made), mel), made

    def from_mel(self, mel):
        lowest = np.log(self.case["floor"])
        return self.decoder((mel - lowest / 2) / (-lowest / 4))

    def make(self, batch, noise):
        del noise
        return self.from_mel(self.front_end(batch))


def mel_distance(made, batch, case, arrays):
    total = 0.0
    for n_fft in case["n_ffts"]:
        window, triangles = arrays[f"window.{n_fft}"], arrays[f"mel.{n_fft}"]
        levels = []
        for signal in (made, batch):
            spectrum = torch.stft(
                signal[:, 0], n_fft, max(n_fft // 4, 1), window=window, return_complex=True
            )
            levels.append(torch.log10(torch.clamp(triangles.T @ spectrum.abs(), min=1e-5)))
        total = total + F.l1_loss(*levels)
    return total


class PeriodCritic(nn.Module):
    def __init__(self, period, widths):
        super().__init__()
        self.period = period
        strides = (3, 3, 3, 3, 1)
        self.layers = nn.ModuleList(
            conv(widths[i], widths[i + 1], 5, stride=strides[i], padding=2) for i in range(5)
        )
        self.score = conv(widths[-1], 1, 3, padding=1)

    def forward(self, signal):
        batch, _, length = signal.shape
        signal = F.pad(signal, (0, -length % self.period), mode="reflect")
        x = signal.reshape(batch, -1, self.period).transpose(1, 2)
        x = x.reshape(batch * self.period, 1, -1)
        features = []
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.1)
            features.append(x)
        return self.score(x).reshape(batch, -1), features


class Critics(nn.Module):
    def __init__(self, case):
        super().__init__()
        self.critics = nn.ModuleList(
            PeriodCritic(period, case["critic_widths"]) for period in case["periods"]
        )

    def forward(self, signal):
        said = [critic(signal) for critic in self.critics]
        return [scores for scores, _ in said], [features for _, features in said]


def critic_loss(critic, real, made, case):
    count = len(real)
    scores, _ = critic(torch.cat([real, made.detach()]))
    if case["adversarial"] == "hinge":
        parts = [F.relu(1 - s[:count]).mean() + F.relu(1 + s[count:]).mean() for s in scores]
    else:
        parts = [(s[:count] - 1).square().mean() + s[count:].square().mean() for s in scores]
    return torch.stack(parts).mean()


def persuasion(critic, made, real, case):
    scores, features = critic(made)
    if case["adversarial"] == "hinge":
        parts = [-s.mean() for s in scores]
    else:
        parts = [(s - 1).square().mean() for s in scores]
    value = case["adversarial_weight"] * torch.stack(parts).mean()
    if case["feature_weight"]:
        with torch.no_grad():
            _, wanted = critic(real)
        apart = [
            torch.stack([F.l1_loss(a, b) for a, b in zip(mine, theirs, strict=True)]).mean()
            for mine, theirs in zip(features, wanted, strict=True)
        ]
        value = value + case["feature_weight"] * torch.stack(apart).mean()
    return value


def optimiser(modules, wanted):
    named = [(n, p) for module in modules for n, p in module.named_parameters()]
    kernels = [p for n, p in named if n.endswith(("original1", ".weight"))]
    rest = [p for n, p in named if not n.endswith(("original1", ".weight"))]
    groups = [
        {"params": kernels, "weight_decay": wanted["weight_decay"]},
        {"params": rest, "weight_decay": 0.0},
    ]
    betas = (wanted["beta1"], wanted["beta2"])
    return torch.optim.AdamW(groups, lr=wanted["learning_rate"], betas=betas, fused=True)


class Trainer:
    """One step: the critic's turn if there is one, then the model's, then the moving average."""

    def __init__(self, case, arrays):
        self.case = case
        self.model = (Vae if case["kind"] == "vae" else Vocoder)(case, arrays)
        self.critic = Critics(case) if case["periods"] else None
        self.load(arrays)
        moving = [self.model.decoder] if case["decoder_alone"] else [self.model]
        self.moving = [p for module in moving for p in module.parameters()]
        self.optimiser = optimiser(moving, case["optimiser"])
        self.ema = [p.detach().clone() for p in self.moving]
        if self.critic is not None:
            self.critic_optimiser = optimiser([self.critic], case["critic_optimiser"])

    def load(self, arrays):
        for prefix, module in (("model", self.model), ("critic", self.critic)):
            if module is not None:
                own = module.state_dict()
                given = {name: arrays[f"{prefix}.{name}"] for name in own}
                module.load_state_dict(given, strict=True)

    def losses(self, batch, noise):
        """Of the critic, where there is one, and of the model; nothing is trained."""
        value, made = self.model.loss(batch, noise.get("model"))
        found = {}
        if self.critic is not None:
            shown = self.model.make(batch, noise.get("critic"))
            found["critic"] = float(critic_loss(self.critic, batch, shown, self.case).detach())
            value = value + persuasion(self.critic, made, batch, self.case)
        return {**found, "model": float(value.detach())}

    def step(self, batch):
        if self.critic is not None:
            with torch.no_grad():
                shown = self.model.make(batch, None)
            self.critic_optimiser.zero_grad()
            critic_loss(self.critic, batch, shown, self.case).backward()
            nn.utils.clip_grad_norm_(
                self.critic.parameters(), self.case["critic_optimiser"]["clip"]
            )
            self.critic_optimiser.step()
            self.critic.requires_grad_(False)
        if self.case["decoder_alone"]:
            self.model.encoder.requires_grad_(False)
        value, made = self.model.loss(batch, None)
        if self.critic is not None:
            value = value + persuasion(self.critic, made, batch, self.case)
        self.optimiser.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(self.moving, self.case["optimiser"]["clip"])
        self.optimiser.step()
        if self.critic is not None:
            self.critic.requires_grad_(True)
        with torch.no_grad():
            torch._foreach_lerp_(self.ema, self.moving, 1 - self.case["ema_decay"])


def main():
    folder, steps = Path(sys.argv[1]), int(sys.argv[2])
    torch.set_num_threads(int(sys.argv[3]))
    case = json.loads((folder / "case.json").read_text())
    with np.load(folder / "arrays.npz") as stored:
        arrays = {name: torch.from_numpy(stored[name]) for name in stored.files}
    trainer = Trainer(case, arrays)
    batch = arrays["batch"]
    noise = {n.removeprefix("noise."): a for n, a in arrays.items() if n.startswith("noise.")}
    found = trainer.losses(batch, noise)
    times = []
    for _ in range(steps):
        start = time.perf_counter()
        trainer.step(batch)
        times.append(1e3 * (time.perf_counter() - start))
    kept = times[min(5, steps - 1) :]
    print(json.dumps({"losses": found, "ms": kept, "version": torch.__version__}))


if __name__ == "__main__":
    main()
