"""Sentences on what this package does otherwise than the sources of several recipes."""

STANDARDIZATION = (
    "The encoder standardizes every image by its own mean and deviation; the source uses "
    "`pixel_mean` and `pixel_deviation`."
)
INITIAL_CONVOLUTIONS = (
    "Kernels of convolutions start with variance 2 / fan-in, those of the source with 1 / fan-in."
)
INITIAL_HEAD = (
    "Kernels of the projection head start at Keras' he_normal and glorot_uniform, those of the "
    "source at N(0, 0.01)."
)
INITIAL_CLASSIFIER = (
    "The linear classifier starts at Keras' glorot_uniform, that of the source at zero."
)
FROZEN_STATISTICS = (
    "Under the linear classifier the frozen encoder normalizes by its moving averages, that of the "
    "source by its batches."
)
CROPS = (
    "Crops are resized with antialiasing and have borders at fractions of a pixel; the source has "
    "neither."
)
JITTER = (
    "The four effects of the color jitter come in one order, are clipped once, and turn the hue in "
    "YIQ; those of the source come in a random order, are clipped each, and turn it in HSV."
)
JITTER_OF_TENSORFLOW = (
    "Brightness is a factor, contrast is about the mean gray and saturation about a pixel's own "
    "gray; the source adds brightness, and has contrast about the mean of each channel and "
    "saturation in HSV."
)
JITTER_OF_SIMCLR = (
    "Contrast is about the mean gray and saturation about a pixel's own gray; the source has "
    "contrast about the mean of each channel and saturation in HSV."
)
BLUR = (
    "Each image is blurred by its own deviation, before it is normalized; the source draws one "
    "deviation for a batch, and blurs after."
)
OPERATIONS = (
    "Geometric operations are bilinear and fill with gray; the source mirrors the image at its "
    "borders."
)
RANDAUGMENT_SIZES = (
    "RandAugment moves images by a share of their size, and its contrast is about their mean; the "
    "source moves by up to 100 pixels, and has contrast about a level that depends on the size of "
    "the image."
)
SGD = (
    "`keras.optimizers.SGD` keeps the learning rate inside its accumulator, and its decay outside "
    "of the gradient; the source has the rate outside and the decay inside, as `LARS` with "
    "`classic_momentum=False` and `exclude_from_adaptation=('.',)`."
)
RMSPROP = (
    "`keras.optimizers.RMSprop` starts its mean square at zeros, and has its weight decay outside "
    "of the gradient; the source starts it at ones, and has the decay inside."
)
DROPPED_TEST_IMAGES = (
    "The source scores test images in full batches of 128 only: {scored} of {all}."
)

INITIAL_WEIGHTS_OF_TORCH = (
    "Kernels start at Keras' he_normal and glorot_uniform, and the last scale of each residual "
    "block at 0; in the source convolutions start over fan-out, dense kernels at PyTorch's uniform "
    "numbers, and all scales at 1."
)
LAST_BIAS = "The last layer of the projection head has no bias; that of the source has one."
RATE_OF_EPOCHS = (
    "The learning rate changes in every step and its cosine begins after the warm-up; the source "
    "changes it between epochs, on a cosine that begins with the warm-up."
)
BEST_EPOCH = "The published accuracy is that of the epoch that is best on the test images."

RATE_BETWEEN_EPOCHS = (
    "The learning rate changes in every step; the source changes it between epochs."
)
RATE_IN_VELOCITY = (
    "The velocity of `LARS` holds steps with the rates of their time; that of the source holds "
    "directions, and takes the present rate."
)
UNCLIPPED_LARS = (
    "The rate of a variable under `LARS` is the learning rate times the trust ratio; that of the "
    "source is the smaller one of the two, and its trust ratio divides by the norm of the gradient "
    "plus the weight decay times that of the weights."
)
SHUFFLED_GROUPS = (
    "The encoder normalizes the whole batch, and the key encoder 8 shuffled groups of it, one "
    "after the other, on any number of devices; in the source both normalize the shard of one of "
    "8 devices, for which the images of the keys are shuffled."
)
MASKED_QUEUE = (
    "The queue begins empty, and empty slots count for nothing; that of the source begins with "
    "random rows."
)
ONE_QUEUE = (
    "Keys of both views are in one queue; the source has a queue of this size for each view."
)
CONSTANT_MOMENTUM = "The momentum is constant; that of the source rises from 0.99 to 0.999."
HALF_PRECISION = "Everything is in float32; the source trains in mixed float16."
WIDE_PADDING = (
    "The first convolution keeps images of 32 pixels; that of the source pads by two, and makes 34 "
    "of them."
)
SYMMETRIC_LOSS = (
    "The loss is the mean of cross-entropies over predictions and over neighbors; that of the "
    "source has those over predictions alone."
)
COPIED_TARGET = (
    "The target network begins as a copy of the online network; that of the source begins with "
    "weights of its own."
)
SMALL_CLASSIFIER = (
    "The linear classifier starts at Keras' glorot_uniform, that of the source at N(0, 0.01)."
)
