"""The command `tfattn`."""
