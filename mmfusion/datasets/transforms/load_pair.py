"""Reading a visible and an infrared file into one image."""

import io
import logging
from collections.abc import Sequence
from typing import Literal

import cv2
import mmcv
import numpy as np
from mmcv.transforms import BaseTransform
from mmengine import fileio
from mmengine.logging import print_log
from PIL import Image

from mmfusion.registry import TRANSFORMS

_BACKENDS = ('cv2', 'pillow')
_PILLOW_MODES = ('L', 'LA', 'RGB', 'RGBA', 'I;16', 'I;16B', 'I;16L')

_Range = Literal['auto', 'dtype'] | tuple[float, float]
# What an image of more than 8 bit is stretched over: a dead pixel or the sun must not make all else black.
_PERCENTILES = (0.5, 99.5)
# An image that uses less of its range than this part of it is nearly of one grey.
_LITTLE = 0.1


def check_range(name: str, value: str | Sequence[float]) -> _Range:
    """A range of raw values from a config or a command line.

    Args:
        name (str): What messages call it.
        value (str | Sequence[float]): 'auto', 'dtype' or two numbers.

    Returns:
        str | tuple[float, float]: Checked.

    Raises:
        ValueError: It is none of these.

    Examples:
        >>> check_range('ir_range', [0, 16383])
        (0.0, 16383.0)
    """
    if value == 'dtype':
        return 'dtype'
    if value == 'auto':
        return 'auto'
    if isinstance(value, str) or not isinstance(value, Sequence) or len(value) != 2:
        raise ValueError(f"{name} must be 'auto', 'dtype' or a pair (low, high) of raw values, but is {value!r}.")
    low, high = map(float, value)
    if not (np.isfinite([low, high]).all() and low < high):
        raise ValueError(f'{name} needs finite values with low < high, but is {value!r}.')
    return low, high


def _used_range(img: np.ndarray) -> tuple[float, float]:
    """The values that most pixels of an image of integers lie between."""
    low, high = np.percentile(img, _PERCENTILES)
    if low == high:  # A small thing before a flat background.
        low, high = img.min(), img.max()
    return (float(low), float(high)) if low < high else (float(low), float(low) + 1)


def _mention(already: set[str], path: str, message: str) -> None:
    """Say something in the log, once for a file and for the first few files only."""
    if len(already) < _MENTIONS and path not in already:
        already.add(path)
        print_log(message, 'current', logging.WARNING)


def _mention_little(img: np.ndarray, low: float, high: float, path: str, name: str) -> None:
    """Say in the log, for the first few files, that an image will be nearly of one grey."""
    used = (float(img.max()) - float(img.min())) / (high - low)
    if used < _LITTLE:
        _mention(
            _mentioned,
            path,
            f'{path} uses {100 * used:.1f} % of the range {low:g} to {high:g} and comes out nearly of one grey; set '
            f"{name}='auto' or to the values that the camera gives",
        )


_MENTIONS = 3
_mentioned: set[str] = set()
_stretched: set[str] = set()
# Sides of two images by each other: more is another shape.
_SHAPES = 1.02


def check_resize_to(value: str | None) -> str | None:
    """A choice of whose size both images of a pair get.

    Args:
        value (str, optional): From a config or a command line.

    Returns:
        str | None: Checked.

    Raises:
        ValueError: It is none.

    Examples:
        >>> check_resize_to('vi')
        'vi'
    """
    if value not in (None, 'vi', 'ir'):
        raise ValueError(f"resize_to must be 'vi', 'ir' or None, but is {value!r}.")
    return value


def _resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """An image (h, w, C) as one of another size, with as many axes."""
    shrinks = size[0] * size[1] < image.shape[0] * image.shape[1]
    resized = cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return resized.reshape(*size, image.shape[2])


def split_four_channels(img: np.ndarray, path: str) -> tuple[np.ndarray, np.ndarray]:
    """Colours and infrared of a file that holds both.

    Args:
        img (np.ndarray): (H, W, 4): blue, green, red, infrared.
        path (str): What messages call it.

    Returns:
        tuple[np.ndarray, np.ndarray]: (H, W, 3) and (H, W).

    Raises:
        ValueError: It has not four channels.

    Examples:
        >>> vi, ir = split_four_channels(np.full((2, 3, 4), (1, 2, 3, 9), np.uint8), 'one.png')
        >>> vi.shape, int(ir[0, 0])
        ((2, 3, 3), 9)
    """
    if img.ndim != 3 or img.shape[2] != 4:
        raise ValueError(
            f'{path} is the visible and the infrared image at once and must have four channels, the last one infrared, '
            f'but has shape {img.shape}. Give each image a file of its own.'
        )
    return img[..., :3], img[..., 3]


@TRANSFORMS.register_module()
class LoadPairFromFile(BaseTransform):
    """Read the files of a pair into one (H, W, 4) image, channels B, G, R, infrared, on the 0..255 scale.

    8-bit pairs give uint8. As soon as one source has more than 8 bit, or a range is given, the image is float32 and
    keeps the precision of the source: values are mapped linearly to 0..255 and not rounded. A thermal camera fills a
    small part of its 14 or 16 bit, so that by default an infrared image of more than 8 bit is stretched over what it
    holds. A grey visible image is repeated to three channels; an alpha channel is dropped. Orientation tags are
    ignored, since they would turn one modality only.

    Where ``vi_path`` and ``ir_path`` are one file of four channels, as in MFNet's data set, the last of them is
    infrared and no transparency.

    Required keys: ``vi_path`` (or ``img_path``), ``ir_path``. Added: ``img``, ``img_path``, ``vi_path``, ``img_shape``,
    ``ori_shape`` (both (H, W)).

    Args:
        to_float32 (bool): Give float32 also for 8-bit pairs.
        ir_channel (str | int): How an infrared file with three channels becomes one: their ``'mean'`` (rounded in an
            8-bit image) or the channel of that index in B, G, R order.
        ir_range (str | tuple[float, float]): The raw infrared values that become 0 and 255; values beyond are clipped.
            ``'auto'`` stretches images of 16 bit over the percentiles 0.5 to 99.5 of each image, and leaves
            8 bit as they are; ``'dtype'`` is the full range of the integer type. Where grey levels have to mean the
            same temperature in all images, give the two numbers, such as (0, 16383) for a camera of 14 bit. An image
            that uses less than a tenth of such a range is mentioned in the log.
        vi_range (str | tuple[float, float]): The same for the visible image.
        imdecode_backend (str): ``'cv2'`` or ``'pillow'``.
        backend_args (dict, optional): Arguments of mmengine's file backend.
        resize_to (str, optional): For cameras of two resolutions that see the same area: ``'vi'`` brings the infrared
            image to the size of the visible one, ``'ir'`` the visible one to the infrared's (labels of a data set have
            to be of that size). Areas when it shrinks, linear when it grows. A pair whose shapes differ by more than
            a fiftieth is mentioned in the log. None refuses pairs of two sizes.

    Raises:
        FileNotFoundError: A file does not exist.
        ValueError: A file is empty, no readable image or has an unsupported type; the two sizes differ, without
            ``resize_to``.

    Examples:
        >>> import cv2, numpy as np, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     vi, ir = f'{folder}/vi.png', f'{folder}/ir.png'
        ...     _ = cv2.imwrite(vi, np.full((4, 6, 3), (1, 2, 3), np.uint8))
        ...     _ = cv2.imwrite(ir, np.linspace(7000, 9000, 24).reshape(4, 6).astype(np.uint16))
        ...     img = LoadPairFromFile(ir_range=(0, 16383))(dict(vi_path=vi, ir_path=ir))['img']
        >>> img.shape, [round(float(value), 3) for value in img[0, 0]]
        ((4, 6, 4), [1.0, 2.0, 3.0, 108.954])
    """

    def __init__(
        self,
        to_float32: bool = False,
        ir_channel: str | int = 'mean',
        ir_range: str | Sequence[float] = 'auto',
        vi_range: str | Sequence[float] = 'dtype',
        imdecode_backend: str = 'cv2',
        backend_args: dict | None = None,
        resize_to: str | None = None,
    ) -> None:
        # `0 == False`: a bool is no channel.
        if ir_channel != 'mean' and (isinstance(ir_channel, bool) or ir_channel not in (0, 1, 2)):
            raise ValueError(f"ir_channel must be 'mean' or a channel 0, 1, 2 (B, G, R), but is {ir_channel!r}.")
        if imdecode_backend not in _BACKENDS:
            raise ValueError(
                f'imdecode_backend must be one of {_BACKENDS}, but is {imdecode_backend!r}; others do not '
                'keep 16 bit, or not the order of the colours.'
            )
        self.to_float32 = to_float32
        self.ir_channel = ir_channel
        self.ir_range = check_range('ir_range', ir_range)
        self.vi_range = check_range('vi_range', vi_range)
        self.resize_to = check_resize_to(resize_to)
        self.imdecode_backend = imdecode_backend
        self.backend_args = backend_args.copy() if backend_args else None

    def _decode(self, content: bytes) -> np.ndarray:
        if self.imdecode_backend == 'pillow':
            mode = Image.open(io.BytesIO(content)).mode
            if mode not in _PILLOW_MODES:
                # Pillow hands out palette indices and CMYK as they are, which would pass for grey and for alpha.
                raise ValueError(f'its mode {mode!r} cannot be read with Pillow; use imdecode_backend="cv2"')
        img = mmcv.imfrombytes(content, flag='unchanged', backend=self.imdecode_backend)
        if img is None:
            raise ValueError('unknown format, or the file is damaged')
        return img

    def _read_both(self, vi_path: str, ir_path: str) -> tuple[np.ndarray, np.ndarray]:
        """Content of the visible and of the infrared file, which may be the same."""
        if vi_path != ir_path:
            return self._read(vi_path, 'visible'), self._read(ir_path, 'infrared')
        img = self._read(vi_path, 'visible')
        return split_four_channels(img, vi_path) if img.ndim == 3 and img.shape[2] == 4 else (img, img)

    def _read(self, path: str, what: str) -> np.ndarray:
        """Content of an image file, raw values."""
        try:
            content = fileio.get(path, backend_args=self.backend_args)
        except (FileNotFoundError, IsADirectoryError) as error:
            raise FileNotFoundError(f'The {what} image does not exist: {path}.') from error
        if not content:
            raise ValueError(f'The {what} image is an empty file (0 bytes): {path}. Restore or remove the pair.')
        try:
            img = self._decode(content)
        except (ValueError, OSError, SyntaxError, cv2.error) as error:
            raise ValueError(f'The {what} image cannot be read: {path} ({error}).') from error
        return img

    @staticmethod
    def _to_channels(img: np.ndarray, what: str, path: str) -> np.ndarray:
        """Raw image as (H, W, 1) or (H, W, 3), without alpha."""
        img = img[..., None] if img.ndim == 2 else img
        channels = img.shape[2] if img.ndim == 3 else None
        if channels in (2, 4):  # grey or colour with alpha
            img = img[..., : channels - 1]
        elif channels not in (1, 3):
            raise ValueError(
                f'The {what} image must have one or three channels, an alpha channel aside, but {path} '
                f'has shape {img.shape}.'
            )
        return img

    @staticmethod
    def _to_scale(
        img: np.ndarray,
        value_range: _Range,
        path: str,
        name: str,
        float_range: tuple[float, float] | None,
    ) -> np.ndarray:
        """Raw values to 0..255: uint8 as it is, everything else as float32."""
        if isinstance(value_range, tuple):
            low, high = value_range
            _mention_little(img, low, high, path, name)
        elif img.dtype.kind == 'f' and float_range is not None:
            low, high = float_range
        elif img.dtype == np.uint8:
            return img
        elif value_range == 'auto' and img.dtype in (np.uint16, np.int16):
            low, high = _used_range(img)
        elif img.dtype == np.uint16:
            low, high = 0.0, 65535.0
            _mention_little(img, low, high, path, name)
        else:
            raise ValueError(
                f'{path} holds {img.dtype} values, whose range is unknown: give {name}=(low, high), '
                'the raw values that become 0 and 255.'
            )
        # float64 in between: float32 cannot hold (value - low) of wide integers exactly.
        scaled = (img.astype(np.float64) - low) * (255 / (high - low))
        return np.clip(scaled, 0, 255).astype(np.float32)

    def _to_one_size(self, vi: np.ndarray, ir: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
        ratios = [image.shape[1] / image.shape[0] for image in (vi, ir)]
        if max(ratios) / min(ratios) > _SHAPES:
            _mention(
                _stretched,
                name,
                f'{name}: {vi.shape[1]}x{vi.shape[0]} and {ir.shape[1]}x{ir.shape[0]} pixels are of two shapes, so '
                'that resize_to distorts one of them; do both show the same area?',
            )
        if self.resize_to == 'vi':
            return vi, _resized(ir, vi.shape[:2])
        return _resized(vi, ir.shape[:2]), ir

    def _to_one_channel(self, ir: np.ndarray, eight_bit: bool) -> np.ndarray:
        if ir.shape[2] == 1:
            return ir
        if self.ir_channel != 'mean':
            channel = int(self.ir_channel)
            return ir[..., channel : channel + 1]
        mean = ir.mean(axis=2, keepdims=True, dtype=np.float64)
        return np.rint(mean) if eight_bit else mean

    def join(
        self,
        vi: np.ndarray,
        ir: np.ndarray,
        vi_name: str = 'the visible image',
        ir_name: str = 'the infrared image',
        float_range: tuple[float, float] | None = None,
    ) -> np.ndarray:
        """Make one image of two that are in memory, by the rules for files.

        Args:
            vi (np.ndarray): Visible image (H, W), (H, W, 1) or (H, W, 3) in B, G, R order, raw values; with or without
                alpha.
            ir (np.ndarray): Infrared image, likewise.
            vi_name (str): What messages call the visible image, such as its path.
            ir_name (str): The same for the infrared image.
            float_range (tuple[float, float], optional): The values that become 0 and 255 in images of floats, unless
                ``vi_range`` or ``ir_range`` says so. None refuses them, since their range cannot be known.

        Returns:
            np.ndarray: (H, W, 4), uint8 or float32; see the class.

        Raises:
            ValueError: The sizes differ, or an image has an unsupported shape or type.

        Examples:
            >>> pair = LoadPairFromFile().join(np.full((2, 2), 7, np.uint8), np.full((2, 2), 9, np.uint8))
            >>> pair.dtype.name, pair[0, 0].tolist()
            ('uint8', [7, 7, 7, 9])
        """
        vi, ir = self._to_channels(vi, 'visible', vi_name), self._to_channels(ir, 'infrared', ir_name)
        if vi.shape[:2] != ir.shape[:2] and self.resize_to is None:
            raise ValueError(
                f'The two images of a pair must have the same size, but {vi_name} has {vi.shape[0]}x{vi.shape[1]} and '
                f'{ir_name} has {ir.shape[0]}x{ir.shape[1]} pixels (height x width). If they show the same '
                "area, resize_to='vi' (or 'ir') brings both to one size; otherwise register the pair and crop it."
            )
        vi = self._to_scale(vi, self.vi_range, vi_name, 'vi_range', float_range)
        ir = self._to_scale(ir, self.ir_range, ir_name, 'ir_range', float_range)
        if vi.shape[:2] != ir.shape[:2]:
            vi, ir = self._to_one_size(vi, ir, vi_name)

        eight_bit = vi.dtype == np.uint8 and ir.dtype == np.uint8 and not self.to_float32
        img = np.empty((*vi.shape[:2], 4), np.uint8 if eight_bit else np.float32)
        img[..., :3] = vi
        img[..., 3:] = self._to_one_channel(ir, eight_bit)
        return img

    def transform(self, results: dict) -> dict:
        """Read the pair.

        Args:
            results (dict): With ``vi_path`` or ``img_path``, and ``ir_path``.

        Returns:
            dict: With ``img`` and its shapes added.
        """
        vi_path = results.get('vi_path', results.get('img_path'))
        ir_path = results.get('ir_path')
        if vi_path is None or ir_path is None:
            raise ValueError(
                'A pair needs `vi_path` (or `img_path`) and `ir_path`, but there are only the keys '
                f'{sorted(results)}. Use PairedSegDataset or one of its subclasses.'
            )
        img = self.join(*self._read_both(vi_path, ir_path), vi_path, ir_path)
        results.update(img=img, img_path=vi_path, vi_path=vi_path, img_shape=img.shape[:2], ori_shape=img.shape[:2])
        return results

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(to_float32={self.to_float32}, ir_channel={self.ir_channel!r}, '
            f'ir_range={self.ir_range!r}, vi_range={self.vi_range!r}, resize_to={self.resize_to!r}, '
            f'imdecode_backend={self.imdecode_backend!r}, backend_args={self.backend_args})'
        )
