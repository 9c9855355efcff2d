"""irplan: planning of image-guided intratumoral immunotherapy. For research use only.

Data walks one way, and the sub-packages are named after the steps: ``dicom`` → ``volume`` →
``lesions`` → ``dose`` → ``trajectory`` → ``plan`` → ``record``. ``session`` holds the verbs that
the command line and the desktop call. See docs/architecture.md.
"""

import os

# NumPy is loaded after this. The products made here are small: more threads for them bring nothing,
# and on a busy machine (the anatomy is made while a person draws) they wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

__version__ = "0.1.0"
