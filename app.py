"""`python app.py` serves the editor from a checkout, as a hosted Space starts it; installed, the same is `rap app`."""

from ui.app import main

if __name__ == "__main__":
    main()
