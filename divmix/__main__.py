"""`python -m divmix` is the command `divmix`."""

from divmix.cli.main import main

if __name__ == "__main__":
    main()
