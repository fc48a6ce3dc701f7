from keras.src.backend.common.variables import AutocastScope


def without_autocast():
    return AutocastScope(None)


def compiled_loss(model, y, y_pred, sample_weight):
    return model._compile_loss(y, y_pred, sample_weight)


def added_losses(model):
    return [model._aggregate_additional_loss(loss) for loss in model.losses]
