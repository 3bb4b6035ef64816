"""The integers by which a coarse and a fine signal and a weight are related."""

import dataclasses

from jax import lax


@dataclasses.dataclass(frozen=True)
class Form:
    """The integers of the trilinear form; hashable, so that it can parametrise a primitive.

    Attributes:
        coarse: length L of the coarse signal.
        fine: length M of the fine signal.
        kernel_size: taps K.
        stride: fine samples S from one coarse sample to the next.
        dilation: fine samples d from one tap to the next.
        low: samples of the full result before the fine signal begins; may be negative.
        groups: independent blocks of channels.
        precision: of the products, as `jax.lax.Precision`.
    """

    coarse: int
    fine: int
    kernel_size: int
    stride: int
    dilation: int
    low: int
    groups: int
    precision: lax.Precision | None = None

    @property
    def extent(self) -> int:
        return (self.kernel_size - 1) * self.dilation + 1

    @property
    def blocks(self) -> int:
        """Strides P that the kernel reaches over."""
        return -(-self.extent // self.stride)

    @property
    def full(self) -> int:
        """Length of the full result, rounded up to whole strides."""
        return (self.coarse + self.blocks - 1) * self.stride

    @property
    def padding(self) -> tuple[int, int]:
        """Zeros (negative: crops) around the fine signal that make it the exact full result."""
        exact = (self.coarse - 1) * self.stride + self.extent
        return self.low, exact - self.low - self.fine

    @property
    def places(self) -> list[tuple[int, int]]:
        """Of each tap: the whole strides that it lies after its frame, and the samples beyond."""
        return [divmod(k * self.dilation, self.stride) for k in range(self.kernel_size)]

    def of_whole_strides(self) -> "Form":
        """The same with the kernel padded to P strides; for a dilation of one."""
        return dataclasses.replace(self, kernel_size=self.blocks * self.stride)

    def in_contiguous_shifts(self) -> "Form":
        """The same with the kernel padded, if it reaches over more than one stride."""
        several = self.dilation == 1 and self.blocks > 1
        return self.of_whole_strides() if several else self
