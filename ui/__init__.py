"""The trajectory editor around one cached model."""
