from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from PIL import Image

from eojax.apps.restore import command as restore
from eojax.apps.restore import repair
from eojax.apps.restore.damage import damage_masks
from eojax.apps.restore.mask_file import read_mask
from eojax.apps.restore.repair import Settings
from eojax.data.value_range import scale_to_unit
from eojax.errors import UserError
from eojax.evaluation.reference import fit_texture
from eojax.feed.pipeline import to_uint8
from eojax.metrics import restoration
from eojax.samplers.inpainting import Inpainting
from eojax.samplers.langevin import Langevin
from tests.tiny_runs import TinyRun, tiny_run

SHORT = Inpainting(steps=1, solver_steps=10)


@pytest.fixture(scope='module')
def jem() -> TinyRun:
    return tiny_run('jem')


@pytest.fixture(scope='module')
def repaired(jem, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp('out') / 'repaired'
    arguments = [f'--workdir={jem.folder}', f'--out={out}', '--damage=salt_pepper']
    restore.main([*arguments, '--num=5', '--chains=4', '--steps=1', '--seed=3'])
    return out


def _read(out: Path) -> dict[str, Any]:
    with np.load(out / 'restoration.npz', allow_pickle=False) as file:
        return dict(file)


def _fails(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as stopped:
        restore.main(arguments)
    assert stopped.value.code == 1
    lines = [x for x in capsys.readouterr().err.splitlines() if x.startswith('eojax:')]
    assert len(lines) == 1
    return lines[0]


def test_writes_what_it_says(repaired):
    names = {path.name for path in repaired.iterdir()}
    images = {f'{k}_{i:04d}.png' for k in ('restored', 'damaged', 'spread') for i in range(5)}
    assert names == images | {'grid.png', 'restoration.npz', 'restoration.json'}
    with Image.open(repaired / 'restored_0002.png') as file:
        np.testing.assert_array_equal(np.asarray(file), _read(repaired)['restored'][2])


def test_known_pixels_are_those_that_were_given(repaired):
    made = _read(repaired)
    masks = made['masks']
    np.testing.assert_array_equal(masks, damage_masks('salt_pepper', 5, 16, 16, seed=3))
    for name in ('restored', 'one_chain', 'biharmonic', 'median', 'damaged'):
        np.testing.assert_array_equal(made[name][~masks], made['true'][~masks])
    assert not made['spread'][~masks].any()
    assert (made['spread'][masks] > 0).all()
    assert set(np.unique(made['damaged'][masks])) == {0, 255}


def test_numbers_are_those_of_the_arrays(repaired):
    made, told = _read(repaired), json.loads((repaired / 'restoration.json').read_text())
    names = {'model': 'restored', 'model_one_chain': 'one_chain'}
    assert set(told['methods']) == {'model', 'model_one_chain', 'start', 'biharmonic', 'median'}
    for name, values in told['methods'].items():
        if name == 'start':
            continue
        images = made[names.get(name, name)]
        psnr = restoration.psnr(images, made['true'], made['masks'])
        ssim = restoration.ssim(images, made['true'], made['masks'])
        np.testing.assert_allclose(values['per_image']['psnr'], psnr, atol=1e-3)
        assert values['psnr'] == pytest.approx(psnr.mean())
        assert values['ssim'] == pytest.approx(ssim.mean())
        error = np.square(images.astype(float) - made['true'])[made['masks']].mean()
        assert values['psnr_pooled'] == pytest.approx(10 * np.log10(255**2 / error))
    assert told['share'] == pytest.approx(0.1, abs=0.005)
    assert (told['chains'], told['class'], told['damage']) == (4, 'auto', 'salt_pepper')


def test_landscapes_are_repaired_better_than_by_their_mean_colour(repaired):
    """The network is random here; the texture is that of the training images."""
    made, told = _read(repaired), json.loads((repaired / 'restoration.json').read_text())
    flat = np.broadcast_to(made['true'].mean((1, 2), keepdims=True), made['true'].shape)
    mean = restoration.psnr(flat, made['true'], made['masks']).mean()
    assert told['methods']['model']['psnr'] > mean + 3.0


def _case(jem: TinyRun, num: int) -> tuple[np.ndarray, np.ndarray]:
    images = scale_to_unit(jem.run.dataset.images[jem.run.splits.test[:num]])
    return images, damage_masks('random_boxes', num, 16, 16)


@pytest.fixture(scope='module')
def texture(jem):
    training = jem.run.domains['data'].training
    return fit_texture(jem.run, training.images, training.labels)


@pytest.mark.parametrize('langevin', [None, Langevin(steps=2, noise=0.05)])
def test_a_repair_does_not_depend_on_what_is_repaired_beside_it(jem, texture, langevin):
    """Batches are filled up; each chain has a key of its own image and number."""
    images, masks = _case(jem, 7)
    settings = Settings(chains=3, options=SHORT, langevin=langevin)
    given = (jem.run, jem.state)
    many = repair.repair(*given, images, masks, texture, settings)
    few = repair.repair(*given, images[:2], masks[:2], texture, settings)
    last = repair.repair(*given, images[5:], masks[5:], texture, settings, first=5)
    np.testing.assert_allclose(few.mean, many.mean[:2], atol=1e-5)
    np.testing.assert_allclose(last.spread, many.spread[5:], atol=1e-5)
    np.testing.assert_array_equal(last.labels, many.labels[5:])
    assert many.labels.shape == (7, 3)
    other = repair.repair(*given, images[:2], masks[:2], texture, settings._replace(seed=1))
    assert np.abs(other.one - few.one).max() > 0.01


def test_what_is_missing_is_not_read_and_one_chain_has_no_spread(jem, texture):
    images, masks = _case(jem, 2)
    settings = Settings(chains=1, options=SHORT)
    found = repair.repair(jem.run, jem.state, images, masks, texture, settings)
    broken = np.where(masks[..., None], np.float32(0.9), images)
    again = repair.repair(jem.run, jem.state, broken, masks, texture, settings)
    np.testing.assert_array_equal(found.mean, again.mean)
    np.testing.assert_array_equal(found.mean, found.one)
    assert not found.spread.any()


@pytest.mark.parametrize('chains', [2, 3, 5, 8])
@pytest.mark.parametrize('shared', [0.0, 0.6])
def test_the_spread_of_pairs_of_opposite_noise_is_that_of_one_chain(chains, shared):
    """Each end is what its pair has in common and a noise of opposite signs: variance 1."""
    rng = np.random.default_rng(0)
    pairs = -(-chains // 2)
    common = rng.normal(0, np.sqrt(shared), (20_000, pairs, 1))
    noise = rng.normal(0, np.sqrt(1 - shared), (20_000, pairs, 1)) * [1.0, -1.0]
    ends = (common + noise).reshape(20_000, -1)[:, :chains].astype(np.float32)
    spread = repair.spread_of_pairs(ends)
    true = 1.0 - shared if chains == 2 else 1.0  # a single pair does not show what it shares
    assert np.square(spread).mean() == pytest.approx(true, rel=0.03)


def test_a_class_is_that_of_all_chains_and_changes_the_repair(jem, texture):
    images, masks = _case(jem, 2)
    settings = Settings(chains=2, label=3, options=SHORT)
    found = repair.repair(jem.run, jem.state, images, masks, texture, settings)
    assert (found.labels == 3).all()
    none = settings._replace(label=None, by_class=False)
    other = repair.repair(jem.run, jem.state, images, masks, texture, none)
    assert (other.labels == 10).all()
    assert np.abs(other.mean - found.mean).max() > 0.005


def test_larger_images_go_through_the_energy_resampled(jem):
    images, masks = _case(jem, 2)
    images, masks = images.repeat(2, 1).repeat(2, 2), masks.repeat(2, 1).repeat(2, 2)
    many = jem.run.dataset.images[:120].repeat(2, 1).repeat(2, 2)
    texture = fit_texture(jem.run, many)
    settings = Settings(chains=2, options=SHORT)
    found = repair.repair(jem.run, jem.state, images, masks, texture, settings)
    np.testing.assert_array_equal(found.mean[~masks], images[~masks])
    assert found.spread[masks].min() > 0


def test_plain_langevin_on_a_folder_with_a_mask_of_a_file(jem, tmp_path):
    (tmp_path / 'some').mkdir()
    shown = to_uint8(_case(jem, 3)[0])
    for number, image in enumerate(shown):
        Image.fromarray(image).save(tmp_path / 'some' / f'{number}.png')
    mask = np.zeros((16, 16), np.uint8)
    mask[3:9, 4:12] = 255
    Image.fromarray(mask).save(tmp_path / 'mask.png')
    out = tmp_path / 'out'
    restore.main(
        [f'--workdir={jem.folder}', f'--images={tmp_path}/some', f'--mask={tmp_path}/mask.png',
         f'--out={out}', '--sampler=langevin', '--steps=2', '--chains=2', '--class=River']
    )  # fmt: skip
    made, told = _read(out), json.loads((out / 'restoration.json').read_text())
    assert 'true' not in made
    assert 'methods' not in told
    assert 'not known' in told['note']
    assert (told['sampler'], told['class'], told['chain']['steps']) == ('langevin', 'River', 2)
    np.testing.assert_array_equal(made['restored'][:, mask == 0], shown[:, mask == 0])


def test_masks_are_read_from_png_tiff_and_npy(tmp_path):
    mask = np.zeros((6, 8), np.uint8)
    mask[2, 3:5] = 7
    Image.fromarray(mask).save(tmp_path / 'a.png')
    Image.fromarray(mask).save(tmp_path / 'a.tif')
    np.save(tmp_path / 'a.npy', mask)
    for name in ('a.png', 'a.tif', 'a.npy'):
        np.testing.assert_array_equal(read_mask(tmp_path / name, 6, 8), mask > 0)


def test_colours_and_palettes_are_masks_by_what_they_show(tmp_path):
    missing = np.zeros((6, 8), bool)
    missing[2, 3:5] = True
    # Entry 0 of the palette is white, entry 1 black: the numbers alone would say the opposite.
    palette = Image.fromarray(np.where(missing, 0, 1).astype(np.uint8), 'P')
    palette.putpalette([255, 255, 255, 0, 0, 0])
    red = np.where(missing[..., None], np.array([200, 0, 0]), 0).astype(np.uint8)
    deep = np.where(missing, 1, 0).astype(np.uint16)
    pictures = {
        'palette.png': palette,
        'palette.gif': palette,
        'bit.png': Image.fromarray(missing),
        'red.png': Image.fromarray(red),
        'opaque.png': Image.fromarray(red).convert('RGBA'),
        'grey_alpha.png': Image.fromarray(red[..., 0]).convert('LA'),
        'deep.png': Image.fromarray(deep),
    }
    for name, picture in pictures.items():
        picture.save(tmp_path / name)
        np.testing.assert_array_equal(read_mask(tmp_path / name, 6, 8), missing, err_msg=name)
    three = np.repeat(deep[None], 3, 0)
    with rasterio.open(
        tmp_path / 'three.tif', 'w', driver='GTiff', height=6, width=8, count=3, dtype='uint16'
    ) as file:
        file.write(three)
    np.testing.assert_array_equal(read_mask(tmp_path / 'three.tif', 6, 8), missing)


def test_masks_that_say_two_things_are_refused(tmp_path):
    picture = Image.fromarray(np.zeros((6, 8, 3), np.uint8))
    picture.putalpha(Image.fromarray(np.eye(6, 8, dtype=np.uint8) * 255))
    picture.save(tmp_path / 'alpha.png')
    picture.convert('RGB').save(tmp_path / 'a.jpg')
    np.save(tmp_path / 'nan.npy', np.where(np.eye(6, 8) > 0, np.nan, 0.0))
    for name, line in (
        ('alpha.png', 'has transparent pixels, which some mean as missing'),
        ('a.jpg', 'not a PNG, TIFF or npy file'),
        ('nan.npy', 'holds NaN'),
    ):
        with pytest.raises(UserError, match=line):
            read_mask(tmp_path / name, 6, 8)


def test_mistakes_are_one_line(jem, tmp_path, capsys):
    run, out = f'--workdir={jem.folder}', f'--out={tmp_path}/out'
    base = [run, out]
    assert "did you mean 'stripes'" in _fails([*base, '--damage=stripe'], capsys)
    assert 'nothing is missing: say --mask=FILE or --damage=' in _fails(base, capsys)
    assert '--chains must be at least 1' in _fails([*base, '--damage=centre', '--chains=0'], capsys)
    assert 'between 0 and 1' in _fails([*base, '--damage=centre', '--share=1.5'], capsys)
    assert "did you mean 'River'" in _fails([*base, '--damage=centre', '--class=Rivr'], capsys)
    assert 'no such file or folder' in _fails(
        [*base, '--damage=centre', '--images=/nowhere'], capsys
    )
    (tmp_path / 'text.png').write_text('no image')
    bad = [*base, '--damage=centre', f'--images={tmp_path}/text.png']
    assert 'not a JPEG, PNG or TIFF image' in _fails(bad, capsys)


def test_masks_that_do_not_fit_are_one_line(jem, tmp_path, capsys):
    base = [f'--workdir={jem.folder}', f'--out={tmp_path}/out']

    def said(values: np.ndarray) -> str:
        np.save(tmp_path / 'mask.npy', values)
        return _fails([*base, f'--mask={tmp_path}/mask.npy'], capsys)

    assert 'is 15 x 16 pixels; the images are 16 x 16' in said(np.ones((15, 16)))
    assert 'nothing is missing' in said(np.zeros((16, 16)))
    assert 'everything is missing' in said(np.ones((16, 16)))
    (tmp_path / 'mask.npy').write_bytes(b'\x80\x04N.')
    error = _fails([*base, f'--mask={tmp_path}/mask.npy'], capsys)
    assert 'not a PNG, TIFF or npy file' in error
    assert 'no such file' in _fails([*base, f'--mask={tmp_path}/none.png'], capsys)


def test_a_method_that_cannot_restore_says_who_can(tmp_path, capsys):
    case = tiny_run('supervised')
    arguments = [f'--workdir={case.folder}', f'--out={tmp_path}', '--damage=centre']
    error = _fails(arguments, capsys)
    assert "'supervised' cannot restore" in error
    assert 'jem' in error
