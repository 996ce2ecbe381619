"""`python -m rap.train` is `rap train`."""

from rap.train import main

if __name__ == "__main__":
    raise SystemExit(main())
