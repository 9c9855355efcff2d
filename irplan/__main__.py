"""``python -m irplan`` is the same program as the installed ``irplan``."""

from irplan.cli.main import run

if __name__ == "__main__":
    run()
