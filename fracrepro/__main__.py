"""The command line, as ``python -m fracrepro``."""

from fracrepro.workflow.cli import main

if __name__ == "__main__":
    main(prog_name="fracrepro")
