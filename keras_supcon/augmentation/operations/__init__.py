"""Operations on whole batches of images, as functions of tensors.

Each takes the module of backend functions first, since layers run on TensorFlow inside `tf.data`.
"""
