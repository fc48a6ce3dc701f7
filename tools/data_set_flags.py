"""The flags that the programs of data sets share; each may be imported beside the others."""

from absl import flags

SOURCE_DIR = flags.DEFINE_string(
    "source_dir", None, "Folder with the files of the package; the help above has an example."
)
DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of TFDS data sets.", required=True)
