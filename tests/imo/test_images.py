"""Which files are images, and their pixels."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from imo import images
from imo.errors import InputError
from imo.images import is_image, open_image


@pytest.fixture(autouse=True)
def untold(monkeypatch):
    monkeypatch.setattr(images, "_told", set())


RAMP = np.linspace(0, 1, 64).reshape(8, 8)


def grey(path):
    """(8, 8) values of an image whose three colours are alike."""
    pixels = np.asarray(open_image(path), int)
    assert (pixels == pixels[:, :, :1]).all()
    return pixels[:, :, 0]


@pytest.mark.parametrize(
    "values, words",
    [
        ((RAMP * 65535).astype(np.uint16), None),
        ((RAMP * 16383).astype(np.uint16), "read with 16383 as white"),
        ((RAMP * 4095).astype(np.uint16), "read with 4095 as white"),
        ((RAMP * 1023).astype(np.uint16), "read with 1023 as white"),
        ((RAMP * 255).astype(np.uint16), "read with 255 as white"),
        ((RAMP * 20).astype(np.uint16), "scaled from their least"),
        ((RAMP * 255).astype(np.int32), "read with 255 as white"),
        ((RAMP * 4095).astype(np.int32), "read with 4095 as white"),
        ((RAMP * 1_000_000).astype(np.int32), "scaled from their least"),
        ((RAMP * 2000 - 1000).astype(np.int32), "scaled from their least"),
        ((RAMP * 255).astype(np.float32), "floats, read with 255 as white"),
        (RAMP.astype(np.float32), "floats, read with 1 as white"),
        ((RAMP * 0.01).astype(np.float32), "floats, scaled"),
        ((RAMP * 5 - 1).astype(np.float32), "floats, scaled"),
        ((RAMP * 1e9).astype(np.float32), "floats, scaled"),
    ],
    ids=lambda value: str(getattr(value, "dtype", "")) or None,
)
def test_grey_values_of_any_range_reach_from_black_to_white(values, words, tmp_path, recwarn):
    Image.fromarray(values).save(tmp_path / "x.tif")
    assert np.abs(grey(tmp_path / "x.tif") - RAMP * 255).max() <= (14 if "20" in str(values.max()) else 1.01)
    told = [str(warning.message) for warning in recwarn]
    assert told == [] if words is None else (len(told) == 1 and words in told[0] and "x.tif" in told[0])
    open_image(tmp_path / "x.tif")
    assert len(recwarn) == len(told)  # said once


def test_full_sixteen_bits_lose_their_lower_eight(tmp_path):
    values = np.random.default_rng(0).integers(0, 1 << 16, (30, 20), np.uint16)
    for name in ("x.png", "x.tif"):
        Image.fromarray(values).save(tmp_path / name)
        assert (grey(tmp_path / name) == values >> 8).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_no_number_is_refused(bad, tmp_path):
    Image.fromarray(np.array([[0.5, bad]], np.float32)).save(tmp_path / "x.tif")
    with pytest.raises(InputError, match=r"x\.tif: image cannot be read \(it holds NaN or infinity\)"):
        open_image(tmp_path / "x.tif")


def sixteen_bit_colours(path, values):
    """A PNG of 16 bits a colour, which Pillow does not write."""
    import struct
    import zlib

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    height, width, _ = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


def test_twelve_bits_a_colour_are_not_read_as_next_to_black(tmp_path):
    values = np.random.default_rng(0).integers(0, 1 << 16, (6, 5, 3))
    sixteen_bit_colours(tmp_path / "x.png", values)
    assert (np.asarray(open_image(tmp_path / "x.png")) == values >> 8).all()
    sixteen_bit_colours(tmp_path / "x.png", values >> 4)
    with pytest.raises(InputError, match=r"x\.png: .* 12 bits or fewer; convert it"):
        open_image(tmp_path / "x.png")
    sixteen_bit_colours(tmp_path / "x.png", values * 0)
    assert not np.asarray(open_image(tmp_path / "x.png")).any()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr"])
def test_other_modes_are_converted_as_pillow_does(mode, tmp_path):
    image = Image.fromarray(np.random.default_rng(1).integers(0, 256, (9, 8, 3), np.uint8)).convert(mode)
    path = tmp_path / ("x.tif" if mode in ("CMYK", "YCbCr") else "x.png")
    image.save(path, **({"transparency": 0} if mode == "P" else {}))
    assert open_image(path).tobytes() == Image.open(path).convert("RGB").tobytes()


def test_the_first_picture_of_an_animation_is_read(tmp_path):
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "x.gif", save_all=True, append_images=frames[1:])
    assert open_image(tmp_path / "x.gif").getpixel((0, 0)) == (255, 0, 0)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
def test_orientation_counts_only_when_asked_for(suffix, tmp_path):
    image = Image.new("RGB", (16, 8), "black")
    image.paste("white", (0, 0, 8, 8))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: turn by 90 degrees, clockwise
    image.save(tmp_path / f"x.{suffix}", exif=exif)
    assert open_image(tmp_path / f"x.{suffix}").size == ((8, 16) if suffix == "tif" else (16, 8))  # Pillow's own turn
    turned = open_image(tmp_path / f"x.{suffix}", upright=True)
    assert turned.size == (8, 16)
    assert turned.getpixel((4, 2)) == (255, 255, 255) and turned.getpixel((4, 13)) == (0, 0, 0)


@pytest.mark.parametrize("name", ["x.JPG", "x.jpeg", "x.webp", "x.Avif", "x", "x.photo", "x.gif_", "x.pdf"])
def test_an_image_is_one_by_its_suffix_or_by_its_content(name, tmp_path):
    kind = {".JPG": "JPEG", ".webp": "WEBP", ".Avif": "AVIF"}.get(name[1:], "PNG")
    Image.new("RGB", (4, 4)).save(tmp_path / name, kind)
    assert is_image(str(tmp_path / name))
    assert open_image(tmp_path / name).size == (4, 4)


@pytest.mark.parametrize("name, content", [
    ("x.txt", b"0 0.5 0.5 0.1 0.1\n"), ("x.pdf", b"%PDF-1.4\n%%EOF"), ("x.h5", b"\x89HDF\r\n\x1a\n" + bytes(99)),
    ("x.mpg", b"\0\0\1\xb3" + bytes(99)), ("x.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"),
    ("x", b""), ("x.csv", b"path,label\n"), ("x.json", b"{}"), ("Thumbs.db", b"\xd0\xcf\x11\xe0" + bytes(99)),
])  # fmt: skip
def test_other_files_are_no_images(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    assert not is_image(str(tmp_path / name))


def test_a_folder_and_what_is_not_there_are_no_images(tmp_path):
    assert not is_image(str(tmp_path)) and not is_image(str(tmp_path / "nothing"))


@pytest.fixture
def known_anew():
    images._known.cache_clear()
    yield
    images._known.cache_clear()


def test_heic_without_its_plug_in_is_named_with_it(tmp_path, monkeypatch, known_anew):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (tmp_path / "x.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    if ".heic" in Image.registered_extensions():
        pytest.skip("pillow_heif has registered itself before")
    with pytest.raises(InputError, match=r"x\.HEIC: .*pip install .*pillow-heif|x\.HEIC: .*pillow-heif; pip install"):
        is_image(str(tmp_path / "x.HEIC"))
    with pytest.raises(InputError, match=r"x\.HEIC: image cannot be read .*pip install 'pillow-heif'"):
        open_image(tmp_path / "x.HEIC")


def test_heic_is_read_where_its_plug_in_is_installed(tmp_path, monkeypatch, known_anew):
    """The plug-in is played by one that reads our own format."""
    from PIL.PngImagePlugin import PngImageFile

    def register():
        monkeypatch.setitem(Image.EXTENSION, ".heic", "HEIF")
        monkeypatch.setitem(Image.MIME, "HEIF", "image/heif")
        monkeypatch.setitem(Image.OPEN, "HEIF", (PngImageFile, lambda start: start.startswith(b"\x89PNG")))
        monkeypatch.setattr(Image, "ID", [*Image.ID, "HEIF"])

    monkeypatch.setitem(sys.modules, "pillow_heif", SimpleNamespace(register_heif_opener=register))
    Image.new("RGB", (4, 4)).save(tmp_path / "x.heic", "PNG")
    assert is_image(str(tmp_path / "x.heic"))
    assert open_image(tmp_path / "x.heic").size == (4, 4)


@pytest.mark.parametrize("side", [10_000, 14_000])  # Pillow warns of the one, and refuses the other
def test_an_image_that_unpacks_to_far_more_is_named(tmp_path, side):
    Image.new("1", (side, side)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=rf"^{tmp_path}/a.png: image is too large .*make it smaller$"):
        open_image(tmp_path / "a.png")
