"""The parts of the scene generator against closed forms."""

import numpy as np
import pytest

from mmfusion.datasets.synthetic.backdrop import Camera
from mmfusion.datasets.synthetic.canvas import Canvas, box, linear, smooth_noise
from mmfusion.datasets.synthetic.objects import PRINTED_TRACE, draw_animal, draw_marks, draw_person, draw_poster
from mmfusion.datasets.synthetic.scene import _overlap, _reduce_label
from mmfusion.datasets.synthetic.sensors import infrared_image
from mmfusion.datasets.synthetic.vehicles import draw_vehicle_end, draw_vehicle_side

GREY, TEMPERATURE = 0.25, 0.4


@pytest.fixture
def flat():
    """A canvas of one colour and one temperature."""
    canvas = Canvas(200, 240)
    canvas.albedo[:] = GREY
    canvas.heat[:] = TEMPERATURE
    canvas.keep_background()
    return canvas


@pytest.mark.parametrize('draw', [draw_person, draw_animal])
def test_warm_has_the_colour_of_its_surroundings(flat, draw):
    draw(flat, np.random.default_rng(0), 120, 190, 90, 0.0)
    warm = flat.label == 1
    assert 0.03 < warm.mean() < 0.4
    assert np.allclose(flat.albedo, GREY, atol=1e-6)
    assert (flat.heat[warm] > TEMPERATURE + 0.2).all()
    assert (flat.heat[~warm] == np.float32(TEMPERATURE)).all()
    draw(flat, np.random.default_rng(0), 120, 190, 90, 0.2)
    ratio = flat.albedo[warm] / GREY
    assert np.allclose(ratio, ratio.flat[0], atol=1e-6)
    assert np.isclose(abs(ratio.flat[0] - 1), 0.2, atol=1e-6)


def test_printed_has_the_temperature_of_its_surroundings(flat):
    flat.fill(box(100, 100, 140, 150), colour=(0, 0, 0), heat=0.9, label=1)  # a warm thing behind the poster
    draw_poster(flat, np.random.default_rng(0), 120, 190, 60, night=True)
    draw_marks(flat, np.random.default_rng(1), [box(10, 150, 60, 190)], night=True)
    printed = flat.label == 2
    assert 0.1 < printed.mean() < 0.5
    assert np.abs(flat.heat[printed] - TEMPERATURE).max() <= PRINTED_TRACE + 1e-6
    assert np.abs(flat.albedo[printed] - GREY).max(-1).mean() > 0.2
    assert (flat.light[printed].max(-1) > 0).mean() > 0.9  # retro-reflective


@pytest.mark.parametrize(
    'draw',
    [
        lambda c, r: draw_vehicle_side(c, r, 120, 190, 45, True, False),
        lambda c, r: draw_vehicle_end(c, r, 120, 190, 90, True, False, True),
        lambda c, r: draw_vehicle_end(c, r, 120, 190, 90, True, False, False),
    ],
)
def test_vehicle_is_drawn_for_both_sensors(flat, draw):
    draw(flat, np.random.default_rng(0))
    vehicle = flat.label == 3
    assert 0.1 < vehicle.mean() < 0.9
    assert (np.abs(flat.heat[vehicle] - TEMPERATURE) > 0.05).mean() > 0.8
    assert (np.abs(flat.albedo[vehicle] - GREY).max(-1) > 0.05).mean() > 0.8
    assert flat.light[vehicle].max() > 1  # lamps saturate
    assert (flat.light[vehicle].max(-1) > 0.005).mean() > 0.5  # the sheen of the body


def test_nearer_things_hide_farther_ones(flat):
    flat.fill(box(50, 50, 90, 90), colour=(1, 1, 1), heat=0.9, light=2.0, label=3)
    flat.fill(box(70, 50, 110, 90), colour=(0, 0, 0), heat=0.1, label=2)
    for x, albedo, heat, light, label in ((60, 1, 0.9, 2, 3), (80, 0, 0.1, 0, 2), (100, 0, 0.1, 0, 2)):
        assert flat.label[70, x] == label
        assert np.allclose(flat.albedo[70, x], albedo)
        assert np.isclose(flat.heat[70, x], heat)
        assert np.allclose(flat.light[70, x], light)


def test_shapes_outside_the_drawing_change_nothing(flat):
    before = flat.albedo.copy(), flat.heat.copy()
    outside = [box(-90, -90, -50, -50)]
    assert flat.region(outside) is None
    flat.camouflage(outside, 3.0)
    flat.chill(outside, 3.0)
    assert np.array_equal(before[0], flat.albedo)
    assert np.array_equal(before[1], flat.heat)


def test_camera_is_a_pinhole():
    camera = Camera(width=256, height=192, horizon=70.0, vanishing=120.0, focal=230.0, eye=2.0)
    for depth in (4.0, 7.5, 30.0):
        x, y = camera.project(1.5, depth)
        assert np.isclose(y - camera.eye * camera.unit(depth), camera.horizon)  # what is eye-high ends at the horizon
        assert np.isclose(x - camera.vanishing, 1.5 * camera.unit(depth))
    assert np.isclose(camera.project(0, camera.nearest)[1], camera.height)


def test_labels_are_reduced_by_majority():
    label = np.array([[0, 0, 1, 1, 3, 3], [0, 3, 1, 2, 0, 0]], np.uint8)
    assert _reduce_label(label, (1, 3)).tolist() == [[0, 1, 3]]  # a tie goes to the object


def test_overlap_is_relative_to_the_smaller_box():
    assert _overlap((0, 0, 10, 10), (5, 0, 9, 10)) == 1.0
    assert _overlap((0, 0, 10, 10), (5, 5, 15, 15)) == 0.25
    assert _overlap((0, 0, 10, 10), (10, 0, 20, 10)) == 0.0


def test_infrared_camera_is_linear_without_noise():
    means = []
    for heat in (0.2, 0.5, 0.8):
        canvas = Canvas(96, 96)
        canvas.heat[:] = heat
        image = infrared_image(canvas, np.random.default_rng(0), (48, 48), 0.0)
        assert image.min() == image.max()
        means.append(float(image[0, 0]))
    assert means[2] - means[1] == pytest.approx(means[1] - means[0], abs=1.01)
    assert 0.88 * 0.3 * 255 - 1 < means[1] - means[0] < 1.06 * 0.3 * 255 + 1


def test_linear_inverts_the_display_curve():
    values = np.array([0, 51, 102, 255.0])
    assert np.allclose(np.sqrt(linear(values)) * 255, values)


def test_smooth_noise_has_unit_variance_where_nothing_is_interpolated():
    field = smooth_noise(np.random.default_rng(0), (64, 96), ((64, 96), (64, 96)))
    assert field.dtype == np.float32
    assert abs(field.mean()) < 0.05
    assert abs(field.std() - 1) < 0.05
