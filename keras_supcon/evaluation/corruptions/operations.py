"""The corruptions by name."""

from keras_supcon.evaluation.corruptions import blur, digital, noise, weather
from keras_supcon.evaluation.corruptions.spatter import spatter

OPERATIONS = {
    function.__name__: function
    for function in (
        noise.gaussian_noise,
        noise.shot_noise,
        noise.impulse_noise,
        noise.speckle_noise,
        blur.gaussian_blur,
        blur.defocus_blur,
        blur.glass_blur,
        blur.motion_blur,
        blur.zoom_blur,
        weather.snow,
        weather.frost,
        weather.fog,
        weather.brightness,
        spatter,
        digital.contrast,
        digital.elastic_transform,
        digital.pixelate,
        digital.jpeg_compression,
        digital.saturate,
    )
}
# A gray image becomes colored by these.
COLORED = ("frost", "spatter", "saturate")
