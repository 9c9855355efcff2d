"""irplan: planning of image-guided intratumoral immunotherapy. For research use only.

Data walks one way, and the sub-packages are named after the steps: ``dicom`` → ``volume`` →
``lesions`` → ``dose`` → ``trajectory`` → ``plan`` → ``record``. ``session`` holds the verbs that
the command line and the desktop call. See docs/architecture.md.
"""

__version__ = "0.1.0"
